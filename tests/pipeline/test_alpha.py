"""Alpha is picture: what moves only in alpha moves, in every format with alpha."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import maskvfi
from maskvfi.video import open_source
from maskvfi.video.pixel_format import PixelFormat
from maskvfi.video.pixels import frame_of

CPU = {"device": "cpu", "runtime": "torch"}
WIDTH, HEIGHT, STEP = 160, 96, 24


def disc(at: float) -> np.ndarray:
    """The opacity of a disc, `at` frames after the first one."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.clip(18.5 - np.hypot(x - 40 - STEP * at, y - 48), 0, 1)


def discs(
    folder: Path, colour: tuple[int, int, int], beneath: bool, dtype: type = np.uint8, count: int = 3
) -> Path:
    """A folder of pictures of one colour in which only alpha moves. `beneath` puts noise where nothing is opaque."""
    folder.mkdir()
    rng, top = np.random.default_rng(1), np.iinfo(dtype).max
    for n in range(count):
        alpha = disc(n)[..., None]
        bgr = np.broadcast_to(np.asarray(colour) / 255, (HEIGHT, WIDTH, 3))
        if beneath:
            bgr = np.where(alpha > 0, bgr, rng.random((HEIGHT, WIDTH, 3)))
        picture = (np.concatenate([bgr, alpha], axis=2) * top).round().astype(dtype)
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    return folder


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.square(a - b).mean(), 1e-9)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("beneath", [False, True])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (40, 60, 230)])
def test_a_disc_of_one_colour_moves_and_keeps_its_colour(tmp_path, colour, beneath, dtype):
    source = discs(tmp_path / "in", colour, beneath, dtype)
    maskvfi.interpolate(source, tmp_path / "out", scene_cut="off", **CPU)
    top = np.iinfo(dtype).max
    for n in (1, 3):
        found = cv2.imread(str(tmp_path / "out" / f"{n + 1:08d}.png"), cv2.IMREAD_UNCHANGED) / top
        assert psnr(found[..., 3], disc(n / 2)) > 28  # a cross-fade has 14
        shown = found[..., 3] > 0.05
        assert np.abs(found[shown][:, :3] - np.asarray(colour) / 255).max() < 0.03


@pytest.mark.parametrize("name", ["yuva420p", "yuva444p10le", "rgba", "ya8", "gbrap"])
def test_every_format_with_alpha_is_seen(tmp_path, name):
    codec = "qtrle" if name == "rgba" else "ffv1"
    source = tmp_path / ("a.mov" if name == "rgba" else "a.mkv")
    planar = "gbrap" if name in ("rgba", "ya8") else name
    fmt = PixelFormat.parse(planar)
    with (
        open_source(discs(tmp_path / "in", (255, 255, 255), False)) as reader,
        av.open(str(source), "w") as out,
    ):
        stream = out.add_stream(codec, rate=24)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = {"rgba": "argb", "gbrap": "bgra"}.get(name, name)
        for n, _ in enumerate(reader):
            top = 2**fmt.depth - 1
            colours = [
                np.full(shape, top * 3 // 4, fmt.dtype) for shape in fmt.plane_shapes(WIDTH, HEIGHT)[:-1]
            ]
            alpha = (disc(n) * top).round().astype(fmt.dtype)
            frame = frame_of([*colours, alpha], WIDTH, HEIGHT, stream.pix_fmt)
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    target = tmp_path / f"b{source.suffix}"
    maskvfi.interpolate(source, target, codec=codec, scene_cut="off", **CPU)
    with open_source(target) as reader:
        assert reader.info.format.alpha
        frames = list(reader)
    assert psnr(frames[1].planes[-1] / (2**fmt.depth - 1), disc(0.5)) > 28


def test_what_moves_only_in_alpha_is_no_repeat(tmp_path):
    source = discs(tmp_path / "in", (0, 0, 0), False, count=4)
    report = maskvfi.interpolate(
        source, tmp_path / "out", vfi="blend", mask="off", duplicates="resolve", **CPU
    )
    assert report.duplicates == 0


def test_what_changes_beneath_transparency_is_a_repeat(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(4):
        noise = np.random.default_rng(n).integers(0, 256, (HEIGHT, WIDTH, 3))
        cv2.imwrite(str(folder / f"{n}.png"), np.dstack([noise, np.zeros((HEIGHT, WIDTH))]).astype(np.uint8))
    report = maskvfi.interpolate(folder, tmp_path / "out", vfi="blend", mask="off", **CPU)
    assert (report.duplicates, report.cuts) == (3, 0)


def test_a_new_scene_in_alpha_alone_is_a_cut(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(2)
    scenes = [
        cv2.resize(rng.random((6, 10)).round(), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        for _ in range(2)
    ]
    for n in range(12):
        alpha = scenes[n // 6] * 255
        cv2.imwrite(
            str(folder / f"{n:02d}.png"), np.dstack([np.zeros((HEIGHT, WIDTH, 3)), alpha]).astype(np.uint8)
        )
    report = maskvfi.interpolate(folder, tmp_path / "out", vfi="blend", mask="off", **CPU)
    assert report.cuts == 1


def test_a_fade_of_alpha_keeps_its_colour(tmp_path):
    """White that appears out of black transparency is white all the time."""
    folder = tmp_path / "in"
    folder.mkdir()
    for n, (colour, alpha) in enumerate([(0, 0), (255, 200)]):
        cv2.imwrite(str(folder / f"{n}.png"), np.full((HEIGHT, WIDTH, 4), (colour,) * 3 + (alpha,), np.uint8))
    for mask in ("off", "static-s"):
        maskvfi.interpolate(folder, tmp_path / mask, vfi="blend", mask=mask, scene_cut="off", **CPU)
        middle = cv2.imread(str(tmp_path / mask / "00000002.png"), cv2.IMREAD_UNCHANGED)
        alpha = middle[5, 5, 3]
        assert alpha in ((100,) if mask == "off" else (0, 100))  # a mask may call one step a replacement
        if alpha:  # else it is the frame before, whose black nobody sees
            assert middle[5, 5, :3].tolist() == [255, 255, 255]


def test_an_opaque_picture_is_interpolated_as_one_without_alpha(tmp_path):
    for name, channels in (("with", 4), ("without", 3)):
        (tmp_path / name).mkdir()
        for n in range(3):
            y, x = np.mgrid[:HEIGHT, :WIDTH]
            bgr = np.dstack([(x * 3 + 8 * n) % 256, (y * 5 + 8 * n) % 256, (x + y + 20 * n) % 256])
            picture = np.dstack([bgr, np.full((HEIGHT, WIDTH), 255)])[..., :channels]
            cv2.imwrite(str(tmp_path / name / f"{n}.png"), picture.astype(np.uint8))
        maskvfi.interpolate(tmp_path / name, tmp_path / f"{name}_out", scene_cut="off", **CPU)
    for n in range(1, 6):
        a, b = (
            cv2.imread(str(tmp_path / f"{name}_out" / f"{n:08d}.png"), cv2.IMREAD_UNCHANGED)
            for name in ("with", "without")
        )
        assert np.abs(a[..., :3].astype(int) - b).max() <= 1
        assert a[..., 3].min() == 255
