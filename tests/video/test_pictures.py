"""Images of different kinds, turned, numbered with gaps: read as one video, or named before the work."""

import struct
import subprocess
import zlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import make_clip

import maskvfi
from maskvfi.video import MediaError, open_source
from maskvfi.video.images import read_pictures
from maskvfi.video.planes import planes_to_rgb, to_tensors

Image = pytest.importorskip("PIL.Image")
PLAIN = {"vfi": "blend", "mask": None, "device": "cpu"}
EXACT = {**PLAIN, "codec": "ffv1"}


def scene(seed=0, size=(36, 48)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def as_bgr(frame):
    """The colour planes of an RGB frame as OpenCV has them."""
    return np.stack([frame.planes[i] for i in (1, 0, 2)], axis=2)


def sequence(folder: Path, **pictures) -> Path:
    folder.mkdir()
    for name, picture in pictures.items():
        stem, _, suffix = name.rpartition("_")
        if isinstance(picture, np.ndarray):
            cv2.imwrite(str(folder / f"{stem}.{suffix}"), picture)
        else:
            picture.save(folder / f"{stem}.{suffix}")
    return folder


@pytest.mark.parametrize("grey", [0, 1, 3])
def test_a_grey_image_among_colours_is_read_as_rgb_of_equal_value(tmp_path, grey):
    pictures = {f"{n}_png": scene(n) for n in range(4)}
    pictures[f"{grey}_png"] = scene(grey)[..., 0]
    source = sequence(tmp_path / "in", **pictures)
    with open_source(source) as reader:
        frames = list(reader)
    assert {frame.format.name for frame in frames} == {"gbrp"}
    for n, frame in enumerate(frames):
        expected = scene(n) if n != grey else np.repeat(scene(n)[..., :1], 3, axis=2)
        assert np.array_equal(as_bgr(frame), expected)
    assert reader.warnings == [f"{source}: the images differ (3 rgb24, 1 gray); all are read as gbrp"]
    report = maskvfi.interpolate(source, tmp_path / "out.mkv", **EXACT)
    assert (report.frames_in, report.frames_out, report.damage) == (4, 7, "")


def test_grey_palette_alpha_and_16_bits_become_the_richest_of_them(tmp_path):
    colours = Image.fromarray(scene(2)[..., ::-1].copy())
    source = sequence(
        tmp_path / "in",
        **{
            "0_png": scene(0)[..., 0],
            "1_png": scene(1).astype(np.uint16) * 256 + 7,
            "2_png": colours.quantize(16),
            "3_png": Image.fromarray(np.dstack([scene(3), scene(4)[..., 0]])),
            "4_png": colours.convert("LA"),
        },
    )
    with open_source(source) as reader:
        frames = list(reader)
    assert reader.info.format.name == "gbrap16le"
    assert np.array_equal(as_bgr(frames[0])[..., 0], scene(0)[..., 0].astype(np.uint16) * 257)
    assert np.array_equal(as_bgr(frames[1]), scene(1).astype(np.uint16) * 256 + 7)
    assert np.array_equal(
        as_bgr(frames[2])[..., ::-1] // 257, np.asarray(colours.quantize(16).convert("RGB"))
    )
    assert np.array_equal(as_bgr(frames[3])[..., ::-1], scene(3).astype(np.uint16) * 257)
    assert np.array_equal(frames[3].planes[3], scene(4)[..., 0].astype(np.uint16) * 257)
    assert [int(frame.planes[3].min()) for frame in frames[:3]] == [65535] * 3


def test_a_palette_without_transparency_has_no_alpha(tmp_path):
    picture = Image.fromarray(scene()).quantize(16)
    source = sequence(tmp_path / "in", **{"0_png": picture, "1_png": scene(1)})
    with open_source(source) as reader:
        first = next(iter(reader))
    assert reader.info.format.name == "gbrp"
    assert np.array_equal(as_bgr(first)[..., ::-1], np.asarray(picture.convert("RGB")))


def test_jpegs_with_different_chroma_are_read_with_the_finest(tmp_path):
    pictures = [Image.fromarray(scene(n)) for n in range(3)]
    folder = tmp_path / "in"
    folder.mkdir()
    for n, chroma in enumerate((2, 1)):
        pictures[n].save(folder / f"{n}.jpg", subsampling=chroma)
    pictures[2].convert("L").save(folder / "2.jpg")
    with open_source(folder) as reader:
        frames = list(reader)
    assert reader.info.format.name == "yuv422p"
    assert reader.info.colour.full_range
    grey = np.asarray(Image.open(folder / "2.jpg")).astype(int)
    assert np.abs(frames[2].planes[0] - grey).max() <= 1  # decoders round differently
    assert {int(value) for plane in frames[2].planes[1:] for value in np.unique(plane)} == {128}


def test_png_and_jpeg_together_are_rgb(tmp_path):
    source = sequence(
        tmp_path / "in", **{"0_jpg": np.full((32, 32, 3), 90, np.uint8), "1_png": scene(1, (32, 32))}
    )
    with open_source(source) as reader:
        frames = list(reader)
    assert reader.info.format.name == "gbrp"
    assert np.abs(as_bgr(frames[0]).astype(int) - 90).max() <= 1
    assert np.array_equal(as_bgr(frames[1]), scene(1, (32, 32)))


def test_images_of_different_sizes_are_refused_before_the_work(tmp_path):
    source = sequence(tmp_path / "in", **{"1_png": scene(), "2_png": scene(), "3_png": scene(0, (40, 48))})
    with pytest.raises(MediaError, match=r"3\.png: is 48x40, the images before it are 48x36"):
        open_source(source)


# How OpenCV would have to store a picture so that each EXIF orientation shows it upright.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[::-1],
    7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
    8: lambda p: p.swapaxes(0, 1)[:, ::-1],
}


def turned(path: Path, shown: np.ndarray, orientation: int, **how) -> Path:
    exif = Image.Exif()
    exif[0x112] = orientation
    exif[0x10F] = "a maker"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](shown))).save(path, exif=exif, **how)
    return path


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_images_are_read_as_they_are_shown(tmp_path, suffix, orientation):
    shown = cv2.resize(scene(0, (3, 4)), (48, 36), interpolation=cv2.INTER_NEAREST)
    how = {"quality": 95} | ({"lossless": True} if suffix == ".webp" else {})
    (tmp_path / "in").mkdir()
    for n in range(2):
        turned(tmp_path / "in" / f"{n}{suffix}", shown, orientation, **how)
    maskvfi.interpolate(tmp_path / "in", tmp_path / "out", **PLAIN)
    for file in sorted((tmp_path / "out").iterdir()):
        written = np.asarray(Image.open(file).convert("RGB")).astype(int)
        assert np.abs(written - shown).mean() <= (8 if suffix == ".jpg" else 0)
    name = f"mid{'.png' if suffix == '.webp' else suffix}"
    maskvfi.pair(tmp_path / "in" / f"0{suffix}", tmp_path / "in" / f"1{suffix}", tmp_path / name, **PLAIN)
    back = cv2.imread(str(tmp_path / name))[..., ::-1].astype(int)
    assert back.shape == shown.shape
    assert np.abs(back - shown).mean() <= (8 if suffix == ".jpg" else 0)


def test_a_portrait_of_a_phone_becomes_an_upright_video(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(3):
        turned(tmp_path / "in" / f"{n}.jpg", scene(n, (64, 48)), 6)
    maskvfi.interpolate(tmp_path / "in", tmp_path / "out.mp4", **PLAIN)
    entries = "stream=width,height:stream_side_data=rotation"
    command = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", tmp_path / "out.mp4"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "48,64"


def test_photos_that_were_turned_differently_come_together(tmp_path):
    (tmp_path / "in").mkdir()
    for n, orientation in enumerate((1, 6, 8, 3)):
        turned(tmp_path / "in" / f"{n}.png", scene(n), orientation)
    with open_source(tmp_path / "in") as reader:
        assert [np.array_equal(as_bgr(frame)[..., ::-1], scene(n)) for n, frame in enumerate(reader)] == [
            True
        ] * 4
    turned(tmp_path / "in" / "4.png", scene(0, (48, 36)), 6)
    with pytest.raises(MediaError, match=r"4\.png: is 36x48"):
        open_source(tmp_path / "in")


def test_a_pattern_names_its_images_alone(tmp_path):
    source = sequence(tmp_path / "in", **{f"shot_{n:03d}_png": scene(n) for n in range(3)})
    cv2.imwrite(str(source / "thumbnail.png"), scene(9, (8, 8)))
    report = maskvfi.interpolate(source / "shot_%03d.png", tmp_path / "out.mkv", **EXACT)
    assert (report.frames_in, report.warnings) == (3, [])
    report = maskvfi.interpolate(source / "shot_%03d.png", **PLAIN)
    assert report.output == str(tmp_path / "in_2x")
    report = maskvfi.interpolate(source / "shot_%03d.png", **PLAIN | {"fps": 60, "factor": None})
    assert report.output == f"{tmp_path}/in_2.5x/"
    assert len(list((tmp_path / "in_2.5x").iterdir())) == report.frames_out
    with pytest.raises(MediaError, match=r"other_%d\.png: there are no .* of this pattern"):
        maskvfi.interpolate(source / "other_%d.png", tmp_path / "none.mkv", **PLAIN)


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ((1, 2, 3, 5, 6, 10), "4, 7-9"),
        ((2, 4, 6, 10, 12), "8"),
        ((1, 2, 3), None),
        ((10, 20, 30), None),
        ((20260101, 20260317, 20261125), None),
    ],
)
def test_gaps_in_the_numbering_are_named(tmp_path, numbers, named):
    source = sequence(tmp_path / "in", **{f"f{n:04d}_png": scene() for n in numbers})
    with open_source(source) as reader:
        gap = f"{source}: numbers are missing: {named}; the images are shown without a pause there"
        assert reader.warnings == ([gap] if named else [])
        assert all(b.pts - a.pts == Fraction(1, 24) for a, b in pairwise(reader))


def test_animated_webp_is_no_picture(tmp_path):
    frames = [Image.fromarray(scene(n)) for n in range(3)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    with pytest.raises(MediaError, match=r"a\.webp: is an animated WebP, not one picture"):
        read_pictures([path])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp"])
def test_pictures_of_any_kind_become_a_jpeg_of_the_same_colours(tmp_path, suffix):
    picture = np.full((32, 48, 3), (40, 90, 250), np.uint8)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}{suffix}"), picture, [cv2.IMWRITE_WEBP_QUALITY, 90])
    maskvfi.pair(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", tmp_path / "mid.jpg", **PLAIN)
    assert np.abs(cv2.imread(str(tmp_path / "mid.jpg")).astype(int) - picture).max() <= 4


@pytest.mark.parametrize("quality", [60, 92])
def test_a_picture_between_two_jpegs_has_their_quality(tmp_path, quality):
    smooth = cv2.resize(scene(0, (30, 40)), (320, 240), interpolation=cv2.INTER_CUBIC)
    for n in range(2):
        cv2.imwrite(str(tmp_path / f"{n}.jpg"), smooth, [cv2.IMWRITE_JPEG_QUALITY, quality])
    for target in ("mid.jpg", "mid.png"):
        maskvfi.pair(tmp_path / "0.jpg", tmp_path / "1.jpg", tmp_path / target, **PLAIN)
    source, exact, back = (cv2.imread(str(tmp_path / name)) for name in ("0.jpg", "mid.png", "mid.jpg"))
    assert cv2.PSNR(exact, back) > cv2.PSNR(smooth, source) - 1
    assert (tmp_path / "mid.jpg").stat().st_size < 1.5 * (tmp_path / "0.jpg").stat().st_size


def test_a_video_of_limited_range_becomes_motion_jpeg_of_the_same_colours(tmp_path):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", times=3, colour=(1, 1, 1, 1))
    maskvfi.interpolate(source, tmp_path / "b.avi", codec="mjpeg", encoder_options={"b": "9000000"}, **PLAIN)
    shown = []
    for path in (source, tmp_path / "b.avi"):
        with open_source(path) as reader:
            frame, info = next(iter(reader)), reader.info
        shown.append(planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, info.colour))
    assert float((shown[0] - shown[1]).abs().mean()) < 0.02


def test_the_input_is_never_replaced_by_the_output(tmp_path):
    source = sequence(tmp_path / "in", **{f"{n:03d}_png": scene(n) for n in range(3)})
    before = {file.name: file.read_bytes() for file in source.iterdir()}
    for given, target in (
        (source / "%03d.png", source),
        (source, source / "%03d.png"),
        (source / "%03d.png",) * 2,
    ):
        with pytest.raises(MediaError, match="is the input itself"):
            maskvfi.interpolate(given, target, overwrite=True, **PLAIN)
    assert {file.name: file.read_bytes() for file in source.iterdir()} == before


def test_a_video_with_a_percent_sign_is_no_pattern(tmp_path):
    with pytest.raises(MediaError, match=r"100%done\.mp4: no such file"):
        open_source(tmp_path / "100%done.mp4")


def with_chunk(file: Path, kind: bytes, body: bytes) -> None:
    """Put a chunk before the pixels of a PNG file."""
    data = file.read_bytes()
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    file.write_bytes(data[:33] + chunk + data[33:])


def test_hdr_of_pictures_is_found_beside_exif(tmp_path):
    """PyAV has no name for EXIF; that once hid all other side data."""
    folder = tmp_path / "in"
    folder.mkdir()
    turned(folder / "0.png", scene(), 1)
    with_chunk(folder / "0.png", b"cLLI", struct.pack(">2I", 1000 * 10000, 400 * 10000))
    with open_source(folder) as reader:
        assert reader.info.hdr.content_light == (1000, 400)


def test_hdr_numbers_that_no_stream_can_hold_are_named(tmp_path):
    folder = sequence(tmp_path / "in", **{f"{n}_png": scene(n) for n in range(2)})
    for file in folder.iterdir():
        with_chunk(file, b"cLLI", struct.pack(">2I", 2**32 - 1, 0))
    report = maskvfi.interpolate(folder, tmp_path / "out.mp4", **PLAIN)
    assert "libx264 cannot write HDR10 mastering metadata: left out" in report.warnings
    assert report.frames_out == 3


@pytest.mark.parametrize(
    ("kind", "body"), [(b"eXIf", b"II*\0\x08\0\0\0\xff\xff"), (b"iCCP", b"\0\0damaged"), (b"iCCP", b"P3\0\7")]
)
def test_damaged_metadata_does_not_make_the_picture_unreadable(tmp_path, kind, body):
    """FFmpeg's decoder refuses such a picture, though viewers show it."""
    folder = sequence(tmp_path / "in", **{f"{n}_png": scene(n) for n in range(2)})
    for file in folder.iterdir():
        with_chunk(file, kind, body)
    with open_source(folder) as reader:
        assert all(np.array_equal(as_bgr(frame), scene(n)) for n, frame in enumerate(reader))
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:-400])
    with pytest.raises(MediaError, match=r"0\.png: cannot be read as an image"):
        open_source(folder)


def profile_of(name: str, size: int = 400) -> bytes:
    """The beginning of a profile of this name, as long as asked."""
    return (struct.pack(">I", size).ljust(36, b"\0") + b"acsp").ljust(128, b"\0") + name.encode().ljust(
        size - 128
    )


@pytest.mark.parametrize("size", [400, 150_000])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_every_picture_made_has_the_colour_profile_of_its_sources(tmp_path, suffix, size):
    """If only source frames had it, the pictures would flicker where profiles are shown."""
    profile = profile_of("P3", size)
    (tmp_path / "in").mkdir()
    for n in range(3):
        Image.fromarray(scene()).save(tmp_path / "in" / f"{n}{suffix}", icc_profile=profile)
    maskvfi.interpolate(tmp_path / "in", tmp_path / "out", **PLAIN)
    names = sorted((tmp_path / "out").iterdir())
    for target in ("mid.png", "mid.jpg"):
        first, second = (tmp_path / "in" / f"{n}{suffix}" for n in (0, 1))
        names += maskvfi.pair(first, second, tmp_path / target, **PLAIN)
    assert len(names) == 7
    for name in names:
        picture = Image.open(name)
        picture.load()
        assert picture.info["icc_profile"] == profile
        assert picture.size == (48, 36)


@pytest.mark.parametrize(("suffix", "kept"), [(".png", True), (".jpg", False)])
def test_the_profile_of_grey_pictures_stays_with_grey_ones(tmp_path, suffix, kept):
    """FFmpeg's JPEGs always have colours."""
    (tmp_path / "in").mkdir()
    profile = profile_of("Gamma 2.2")
    profile = profile[:16] + b"GRAY" + profile[20:]
    for n in range(2):
        Image.fromarray(scene()).convert("L").save(tmp_path / "in" / f"{n}.png", icc_profile=profile)
    report = maskvfi.interpolate(tmp_path / "in", tmp_path / "out" / f"%d{suffix}", **PLAIN)
    assert ("the ICC profile is of grey pictures: left out" in report.warnings) != kept
    assert ("icc_profile" in Image.open(tmp_path / "out" / f"1{suffix}").info) == kept


def test_a_colour_profile_that_is_lost_is_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(2):
        Image.fromarray(scene()).save(folder / f"{n}.png", icc_profile=profile_of("P3"))
    report = maskvfi.interpolate(folder, tmp_path / "a.mp4", **PLAIN)
    assert "a video keeps no ICC profile: left out, colours may look different" in report.warnings
    report = maskvfi.interpolate(folder, tmp_path / "tiff" / "%d.tiff", **PLAIN)
    assert report.warnings == ["tiff keeps no ICC profile here: left out"]
    for n in range(2):
        Image.fromarray(scene()).save(folder / f"{n}.png", icc_profile=profile_of("sRGB"))
    report = maskvfi.interpolate(folder, tmp_path / "b.mp4", **PLAIN)
    assert not any("ICC" in line for line in report.warnings)
    Image.fromarray(scene()).save(folder / "2.png")
    report = maskvfi.interpolate(folder, tmp_path / "out", **PLAIN)
    assert report.warnings == [
        f"{folder}: the images have different ICC profiles; that of the first is taken for all"
    ]


def test_what_a_pair_loses_is_named(tmp_path):
    for name in ("P3", "sRGB"):
        Image.fromarray(scene()).save(tmp_path / f"{name}.png", icc_profile=profile_of(name))
    lost: list[str] = []
    pictures = (tmp_path / "P3.png", tmp_path / "sRGB.png")
    maskvfi.pair(*pictures, tmp_path / "a.tif", vfi="blend", mask=None, device="cpu", warnings=lost)
    assert lost == [
        f"{pictures[0]}: the images have different ICC profiles; that of the first is taken for all",
        "tiff keeps no ICC profile here: left out",
    ]


def test_a_picture_with_a_wrong_suffix_is_read_as_what_it_is(tmp_path):
    source = sequence(tmp_path / "in", **{"0_png": scene(0), "1_png": scene(1)})
    (source / "1.png").rename(source / "1.jpg")
    with open_source(source) as reader:
        assert all(np.array_equal(as_bgr(frame), scene(n)) for n, frame in enumerate(reader))


def test_a_pair_of_a_grey_and_a_colour_picture_is_in_colour(tmp_path):
    source = sequence(
        tmp_path / "in",
        **{"0_png": np.full((36, 48), 60, np.uint8), "1_png": np.full((36, 48, 3), 80, np.uint8)},
    )
    maskvfi.pair(source / "0.png", source / "1.png", tmp_path / "mid.png", **PLAIN)
    assert np.array_equal(cv2.imread(str(tmp_path / "mid.png"), -1), np.full((36, 48, 3), 70, np.uint8))
