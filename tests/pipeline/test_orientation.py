"""Rotated and mirrored videos: what a person sees or paints is in the orientation shown."""

import subprocess

import av
import cv2
import numpy as np
import pytest
from clips import picture

import maskvfi
from maskvfi.pipeline.preview import neighbours
from maskvfi.video import MediaError, VideoReader

UNIT = 1 << 16
# The first four numbers of FFmpeg's display matrix, and how numpy shows a picture that is stored so.
MATRICES = {
    "as it is": ((1, 0, 0, 1), lambda p: p),
    "90": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "180": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "270": ((0, -1, 1, 0), lambda p: np.rot90(p)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "transversed": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
}
PLAIN = {"vfi": "blend", "mask": None, "device": "cpu"}
WIDTH, HEIGHT = 64, 48


def clip_of(path, matrix, frames=3, pix_fmt="yuv444p", size=(WIDTH, HEIGHT), codec="libx264"):
    a, b, c, d = (UNIT * value for value in matrix)
    with av.open(str(path), "w") as out:
        options = {"qp": "0", "preset": "ultrafast"} if codec == "libx264" else {}
        stream = out.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for n in range(frames):
            frame = picture(n, *size, pix_fmt)
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def luma(path):
    """The luma of every frame, stored and as FFmpeg shows it, and what the container says."""
    with VideoReader(path) as reader:
        return [frame.planes[0] for frame in reader], reader.info


@pytest.mark.parametrize("name", MATRICES)
def test_containers_say_how_a_video_is_turned_or_hold_it_upright(tmp_path, name):
    matrix, shown = MATRICES[name]
    source = clip_of(tmp_path / "in.mp4", matrix)
    stored, info = luma(source)
    for suffix in (".mp4", ".mov", ".mkv"):
        maskvfi.interpolate(source, tmp_path / f"out{suffix}", **PLAIN, encoder_options={"qp": "0"})
        kept, kept_info = luma(tmp_path / f"out{suffix}")
        assert kept_info.display_matrix == info.display_matrix
        assert all(np.array_equal(a, b) for a, b in zip(stored, kept[::2], strict=True))
    maskvfi.interpolate(source, tmp_path / "out.avi", **PLAIN, codec="ffv1")
    upright, upright_info = luma(tmp_path / "out.avi")
    assert upright_info.display_matrix is None
    assert all(np.array_equal(shown(a), b) for a, b in zip(stored, upright[::2], strict=True))


@pytest.mark.parametrize("name", MATRICES)
def test_every_picture_is_shown_upright(tmp_path, name):
    """FFmpeg turns pictures when it decodes; what it shows is the reference."""
    matrix, _ = MATRICES[name]
    source = clip_of(tmp_path / "in.mp4", matrix)
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        source,
        "-frames:v",
        "1",
        "-pix_fmt",
        "rgb24",
        tmp_path / "shown.png",
    ]
    subprocess.run(command, check=True)
    shown = cv2.imread(str(tmp_path / "shown.png")).astype(int)

    def differs(image):
        assert image.shape == shown.shape
        return np.abs(image.astype(int) - shown).mean()

    maskvfi.interpolate(source, tmp_path / "images", **PLAIN)
    assert differs(cv2.imread(str(tmp_path / "images" / "00000001.png"))) < 2
    first, _ = neighbours(source, 0)
    assert differs((first[0].clamp(0, 1).permute(1, 2, 0).flip(-1) * 255).numpy()) < 2
    paint = tmp_path / "paint.png"
    cv2.imwrite(str(paint), np.zeros(shown.shape[:2], np.uint8))
    masked = {"vfi": "blend", "mask": None, "device": "cpu", "protect": paint}
    maskvfi.compare(source, tmp_path / "both.png", **masked)
    both = cv2.imread(str(tmp_path / "both.png"))
    assert both.shape == (2 * shown.shape[0], *shown.shape[1:])
    assert np.array_equal(*np.split(both, 2))
    maskvfi.compare(source, tmp_path / "both.mp4", **masked, encoder_options={"qp": "0"})
    with VideoReader(tmp_path / "both.mp4") as reader:
        assert reader.info.display_matrix is None
        assert (reader.info.height, reader.info.width) == (2 * shown.shape[0], shown.shape[1])


@pytest.mark.parametrize("name", MATRICES)
def test_masks_are_painted_on_what_is_shown(tmp_path, name):
    """Top left as shown is protected: there the overlay is green, and nowhere else."""
    matrix, shown = MATRICES[name]
    source = clip_of(tmp_path / "in.mp4", matrix)
    height, width = shown(np.zeros((HEIGHT, WIDTH))).shape
    paint = np.zeros((height, width), np.uint8)
    paint[:16, :24] = 255
    cv2.imwrite(str(tmp_path / "paint.png"), paint)
    masked = {"mask": None, "device": "cpu", "protect": tmp_path / "paint.png"}
    maskvfi.mask_video(source, tmp_path / "mask", **masked)
    assert np.array_equal(cv2.imread(str(tmp_path / "mask" / "00000001.png"))[..., 0], paint)
    maskvfi.mask_video(source, tmp_path / "over.avi", **masked, overlay=True, codec="ffv1")
    with VideoReader(tmp_path / "over.avi") as reader:
        assert (reader.info.width, reader.info.height) == (width, height)
    cv2.imwrite(str(tmp_path / "paint.png"), np.ascontiguousarray(paint.T))
    with pytest.raises(MediaError, match=f"the video is {width}x{height}"):
        maskvfi.mask_video(source, tmp_path / "wrong", **masked)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize(("number", "mode"), [(6, "L"), (8, "RGB"), (3, "RGBA"), (2, "L")])
def test_a_painted_picture_is_turned_as_its_exif_says(tmp_path, suffix, number, mode):
    image = pytest.importorskip("PIL.Image")
    source = clip_of(tmp_path / "in.mp4", MATRICES["as it is"][0])
    paint = np.zeros((HEIGHT, WIDTH), np.uint8)
    paint[:16, :24] = 255
    stored = {6: np.rot90(paint), 8: np.rot90(paint, -1), 3: paint[::-1, ::-1], 2: paint[:, ::-1]}[number]
    exif = image.Exif()
    exif[0x112] = number
    mode = "RGB" if suffix == ".jpg" and mode == "RGBA" else mode
    how = {".jpg": {"quality": 100}, ".webp": {"lossless": True}}.get(suffix, {})
    image.fromarray(np.ascontiguousarray(stored)).convert(mode).save(
        tmp_path / f"p{suffix}", exif=exif, **how
    )
    protect = tmp_path / f"p{suffix}"
    maskvfi.mask_video(source, tmp_path / "mask", mask=None, device="cpu", protect=protect)
    assert np.array_equal(cv2.imread(str(tmp_path / "mask" / "00000001.png"))[..., 0], paint)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv420p10le", "gbrp10le"])
@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("size", [(63, 47)])
def test_colours_stay_where_they_are_however_chroma_is_sampled(tmp_path, name, pix_fmt, size):
    matrix, shown = MATRICES[name]
    source = clip_of(tmp_path / "in.mkv", matrix, 2, pix_fmt, size, "ffv1")
    maskvfi.interpolate(source, tmp_path / "out", **PLAIN)
    maskvfi.interpolate(source, tmp_path / "out.avi", **PLAIN, codec="ffv1")
    maskvfi.interpolate(tmp_path / "out.avi", tmp_path / "again", **PLAIN)
    with VideoReader(source) as reader:
        stored = next(iter(reader)).native.to_ndarray(format="rgb24")
    for folder in ("out", "again"):
        image = cv2.imread(str(tmp_path / folder / "00000001.png"))[..., ::-1]
        assert image.shape == shown(stored).shape
        assert np.abs(image.astype(int) - shown(stored)).mean() < 4
