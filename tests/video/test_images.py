"""Folders of images as videos, and videos as folders of images."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import digest, make_clip
from commands import run

import maskvfi
from maskvfi.video import (
    Frame,
    ImageFolderReader,
    ImageFolderWriter,
    MediaError,
    VideoReader,
    open_sink,
    open_source,
)
from maskvfi.video.images import read_pictures, write_picture
from maskvfi.video.jpeg import GOOD, quality_options
from maskvfi.video.pixel_format import Colour, PixelFormat
from maskvfi.video.planes import planes_to_rgb, to_tensors


def noise(seed, dtype, channels, size=(19, 23)):
    rng = np.random.default_rng(seed)
    if dtype is np.float32:
        return (rng.random((*size, channels)) * 3).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*size, channels)).astype(dtype)


def folder_of(path, names, dtype=np.uint8, channels=3):
    path.mkdir()
    for n, name in enumerate(names):
        assert cv2.imwrite(str(path / name), noise(n, dtype, channels))
    return path


def copied(source, target, **more):
    with open_source(source) as reader, open_sink(target, reader.info, rate=reader.info.rate, **more) as sink:
        for frame in reader:
            sink.write(frame)
    return sink.warnings


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        (".png", np.uint8, 1),
        (".png", np.uint8, 3),
        (".png", np.uint8, 4),
        (".png", np.uint16, 1),
        (".png", np.uint16, 3),
        (".png", np.uint16, 4),
        (".tiff", np.uint8, 3),
        (".tiff", np.uint16, 3),
    ],
)
def test_images_pass_bit_by_bit_in_their_own_depth(tmp_path, suffix, dtype, channels):
    source = folder_of(tmp_path / "in", [f"{n}{suffix}" for n in range(3)], dtype, channels)
    assert copied(source, tmp_path / "out" / f"%08d{suffix}" if suffix != ".png" else tmp_path / "out") == []
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"{n:08d}{suffix}" for n in (1, 2, 3)]
    for n, name in enumerate(names):
        back = cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_UNCHANGED)
        assert back.dtype == dtype
        assert np.array_equal(back.reshape(19, 23, channels), noise(n, dtype, channels))


def test_names_are_in_natural_order(tmp_path):
    names = ["f10.png", "f9.png", "f1.png", "f100.png", "f2.png"]
    source = folder_of(tmp_path / "in", names)
    (source / "notes.txt").write_text("not an image")
    (source / ".hidden.png").write_bytes(b"")
    with ImageFolderReader(source) as reader:
        frames = list(reader)
    for frame, name in zip(frames, ["f1.png", "f2.png", "f9.png", "f10.png", "f100.png"], strict=True):
        expected = cv2.imread(str(source / name))
        assert np.array_equal(np.stack([frame.planes[i] for i in (1, 0, 2)], axis=2), expected)


def test_images_are_shown_at_the_rate_that_is_given(tmp_path):
    source = folder_of(tmp_path / "in", [f"{n}.png" for n in range(10)])
    with open_source(source) as reader:
        assert reader.info.rate == 24
    with open_source(source, rate=Fraction(10), start=Fraction(2, 10), end=Fraction(5, 10)) as reader:
        assert [frame.pts for frame in reader] == [Fraction(n, 10) for n in (2, 3, 4)]
        assert (reader.info.frames_estimate, reader.info.duration) == (3, Fraction(3, 10))


def test_a_window_cuts_images_as_it_cuts_a_video(tmp_path):
    source = folder_of(tmp_path / "in", [f"{n}.png" for n in range(4)])
    with open_source(source, rate=Fraction(1), start=Fraction(1, 2), end=Fraction(5, 2)) as reader:
        assert reader.info.duration == 2
        shown = [(frame.pts, frame.duration) for frame in reader]
    assert shown == [(Fraction(1, 2), Fraction(1, 2)), (1, 1), (2, Fraction(1, 2))]


def test_images_that_should_be_deinterlaced_are_named(tmp_path):
    source = folder_of(tmp_path / "in", ["1.png", "2.png"])
    with open_source(source, interlaced="deinterlace") as reader:
        assert reader.warnings == [f"{source}: images are not deinterlaced"]


@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_a_broken_image_is_named(tmp_path, content):
    source = folder_of(tmp_path / "in", ["1.png", "2.png"])
    (source / "2.png").write_bytes(content)
    with (
        open_source(source) as reader,
        pytest.raises(MediaError, match=r"2\.png: cannot be read as an image"),
    ):
        list(reader)


def test_a_broken_image_does_not_end_the_film(tmp_path):
    source = folder_of(tmp_path / "in", [f"{n}.png" for n in range(5)])
    for n in (2, 3):
        (source / f"{n}.png").write_bytes((source / f"{n}.png").read_bytes()[:40])
    plain = {"vfi": "blend", "mask": None, "device": "cpu"}
    report = maskvfi.interpolate(source, tmp_path / "out", **plain)
    named = f"{source}: cannot be read as images: 2.png, 3.png; the image before is shown in their place"
    assert report.warnings[0] == named
    assert (report.frames_in, report.frames_out, report.damage) == (5, 9, "")
    for made, shown in ((1, 0), (3, 1), (5, 1), (7, 1), (9, 4)):
        same = cv2.imread(str(tmp_path / "out" / f"{made:08d}.png")), cv2.imread(str(source / f"{shown}.png"))
        assert np.array_equal(*same)
    window = maskvfi.interpolate(source, tmp_path / "window", start=Fraction(3, 24), **plain)
    assert (window.frames_in, window.frames_out) == (2, 3)
    first = cv2.imread(str(tmp_path / "window" / "00000001.png"))
    assert np.array_equal(first, cv2.imread(str(source / "1.png")))
    with pytest.raises(MediaError, match=r"2\.png: cannot be read as an image"):
        maskvfi.interpolate(source, tmp_path / "strict", strict=True, **plain)
    assert not (tmp_path / "strict").exists()


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(MediaError, match=r"no PNG, JPEG, .* images in this folder"):
        open_source(tmp_path)


def test_jpeg_is_full_range_bt601_with_centred_chroma(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    flat = np.full((32, 32, 3), (40, 90, 250), np.uint8)
    cv2.imwrite(str(path / "1.jpg"), flat, [cv2.IMWRITE_JPEG_QUALITY, 100])
    with open_source(path) as reader:
        colour = reader.info.colour
        frame = next(iter(reader))
    assert (colour.matrix, colour.full_range, colour.siting) == ("bt601", True, "center")
    rgb = planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, colour)[0, :, 5, 5] * 255
    assert np.abs(rgb.numpy() - (250, 90, 40)).max() < 2


def test_exr_keeps_its_floats(tmp_path):
    source = make_clip(tmp_path / "a.mkv", times=2)
    with VideoReader(source) as reader:
        info = reader.info
    floats = [(noise(n, np.float32, 1)[..., 0] * 4 - 1) for n in range(3)]
    fmt = PixelFormat.parse("gbrpf32le")
    for key, value in {"format": fmt, "width": 23, "height": 19, "colour": Colour("bt709", True)}.items():
        object.__setattr__(info, key, value)
    with ImageFolderWriter(tmp_path / "out", info) as writer:
        writer.write(Frame(tuple(floats), fmt, Fraction(0), Fraction(1)))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["00000001.exr"]
    with open_source(tmp_path / "out") as reader:
        assert reader.info.format == fmt
        (frame,) = reader
    for sent, back in zip(floats, frame.planes, strict=True):
        assert np.array_equal(sent, back)


def test_a_video_becomes_images_of_the_right_colour_and_depth(tmp_path):
    for pix_fmt, dtype in (("yuv420p", np.uint8), ("yuv444p10le", np.uint16)):
        source = make_clip(tmp_path / f"{pix_fmt}.mkv", codec="ffv1", pix_fmt=pix_fmt, times=2)
        warnings = copied(source, tmp_path / pix_fmt)
        assert len(warnings) == 1
        assert "converted to RGB" in warnings[0]
        with VideoReader(source) as reader:
            frame = next(iter(reader))
            rgb = planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, reader.info.colour)
        image = cv2.imread(str(tmp_path / pix_fmt / "00000001.png"), cv2.IMREAD_UNCHANGED)
        assert image.dtype == dtype
        expected = rgb[0].permute(1, 2, 0).clamp(0, 1).numpy()[..., ::-1] * np.iinfo(dtype).max
        assert np.abs(image - expected).max() <= 0.51


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    source = folder_of(tmp_path / "in", ["1.png"])
    target = folder_of(tmp_path / "out", ["00000001.png", "00000002.png"])
    with pytest.raises(MediaError, match="not empty"):
        copied(source, target)
    (target / "diary.txt").write_text("mine")
    with pytest.raises(MediaError, match=r"diary\.txt"):
        copied(source, target, overwrite=True)
    (target / "diary.txt").unlink()
    (target / ".DS_Store").write_bytes(b"a file manager's")
    copied(source, target, overwrite=True)
    assert sorted(p.name for p in target.iterdir()) == [".DS_Store", "00000001.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    copied(folder_of(tmp_path / "in", ["1.png"]), f"{tmp_path}/out/")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["00000001.png"]


def test_a_failed_run_leaves_no_folder(tmp_path):
    source = folder_of(tmp_path / "in", ["1.png", "2.png"])
    (source / "2.png").write_bytes(b"")
    with pytest.raises(MediaError):
        copied(source, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no folder that root cannot write")
def test_a_folder_that_cannot_be_written_is_named_by_its_target(tmp_path):
    with pytest.raises(MediaError, match=r"^/proc/out/: cannot be written \([a-z ]+\)$"):
        copied(folder_of(tmp_path / "in", ["1.png"]), "/proc/out/")


def test_a_folder_that_takes_the_name_meanwhile_is_kept(tmp_path):
    with open_source(folder_of(tmp_path / "in", ["1.png"])) as reader:
        writer = ImageFolderWriter(tmp_path / "out", reader.info)
        for frame in reader:
            writer.write(frame)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "diary.txt").write_text("mine")
        line = "out: the folder is not empty, and overwrite is not set; the whole result is kept as (.*)"
        with pytest.raises(MediaError, match=line) as refused:
            writer.finish()
    assert (tmp_path / "out" / "diary.txt").read_text() == "mine"
    kept = Path(re.search(line, str(refused.value))[1])
    assert sorted(tmp_path.iterdir()) == [kept, tmp_path / "in", tmp_path / "out"]
    assert [p.name for p in kept.iterdir()] == ["00000001.png"]


def test_options_of_an_image_encoder_are_used(tmp_path):
    (source := tmp_path / "in").mkdir()
    cv2.imwrite(str(source / "1.png"), np.full((48, 64, 3), 90, np.uint8))
    for level in ("0", "9"):
        assert copied(source, tmp_path / level, options={"compression_level": level}) == []
    stored, packed = (tmp_path / level / "00000001.png" for level in ("0", "9"))
    assert stored.stat().st_size > packed.stat().st_size
    with pytest.raises(MediaError, match=r"out/%d\.jpg: mjpeg cannot be written"):
        copied(source, tmp_path / "out" / "%d.jpg", options={"qmin": "many"})
    assert not (tmp_path / "out").exists()


def test_options_that_images_do_not_have_are_named(tmp_path):
    source = folder_of(tmp_path / "in", ["1.png"])
    warnings = copied(source, tmp_path / "out", codec="libx265", options={"crf": "18", "preset": "fast"})
    assert warnings == [
        "png has no option crf, preset: left out",
        "images are written with png, as their suffix says: codec libx265 left out",
    ]
    assert copied(source, tmp_path / "same", codec="png") == []


def test_a_pattern_of_jpegs_has_the_quality_of_its_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name, quality in (("a1.jpg", 50), ("a2.jpg", 50), ("b1.jpg", 95)):
        picture = noise(0, np.uint8, 3, (48, 64))
        cv2.imwrite(str(tmp_path / "in" / name), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    chosen = []
    for path in (tmp_path / "in", tmp_path / "in" / "a%d.jpg", tmp_path / "in" / "a1.jpg"):
        with open_source(tmp_path / "in") as reader:
            chosen.append(quality_options(replace(reader.info, path=str(path))))
    assert chosen[0] == chosen[1] == chosen[2] != {"qmin": str(GOOD), "qmax": str(GOOD)}


def test_jpeg_sequences_have_the_quality_of_their_source(tmp_path):
    (tmp_path / "in").mkdir()
    smooth = cv2.resize(noise(0, np.uint8, 3, (30, 40)), (160, 120), interpolation=cv2.INTER_CUBIC)
    sizes = {}
    for quality in (60, 95):
        for n in range(2):
            cv2.imwrite(str(tmp_path / "in" / f"{n}.jpg"), smooth, [cv2.IMWRITE_JPEG_QUALITY, quality])
        target = tmp_path / f"out{quality}"
        copied(tmp_path / "in", target / "%04d.jpg")
        assert sorted(p.name for p in target.iterdir()) == ["0001.jpg", "0002.jpg"]
        source, back = (cv2.imread(str(path)) for path in (tmp_path / "in" / "0.jpg", target / "0001.jpg"))
        assert cv2.PSNR(smooth, back) > cv2.PSNR(smooth, source) - 4  # of two losses, one after the other
        sizes[quality] = (target / "0001.jpg").stat().st_size
    assert sizes[95] > 2 * sizes[60]


def test_a_jpeg_has_the_colours_of_its_source(tmp_path):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", times=2)  # limited range, BT.709
    copied(source, tmp_path / "out" / "%d.jpg")
    copied(source, tmp_path / "exact")
    jpeg, exact = (cv2.imread(str(tmp_path / name)) for name in ("out/1.jpg", "exact/00000001.png"))
    assert cv2.PSNR(jpeg, exact) > 30


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("50%_%03d.png", "50%_001.png"),
        ("100%done_%d.png", "100%done_1.png"),
        ("%4d.png", "0001.png"),
        ("100%done", "100%done/00000001.png"),
    ],
)
def test_a_percent_sign_in_a_name_is_a_sign_like_others(tmp_path, name, written):
    copied(folder_of(tmp_path / "in", ["1.png"]), tmp_path / "out" / name if "." in name else tmp_path / name)
    assert (tmp_path / "out" / written if "." in name else tmp_path / written).exists()


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    copied(folder_of(tmp_path / "in", ["1.png"]), tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["00000001.png"]


def test_images_become_a_video_and_come_back(tmp_path):
    source = folder_of(tmp_path / "in", [f"{n}.png" for n in range(5)])
    assert copied(source, tmp_path / "a.mkv", codec="ffv1", copy_from=source) == []
    copied(tmp_path / "a.mkv", tmp_path / "out")
    with open_source(source) as a, open_source(tmp_path / "out") as b:
        assert [digest(frame) for frame in a] == [digest(frame) for frame in b]


@pytest.mark.parametrize("target", ["out", "out/%d.jpg", "out.webp"])
def test_a_pixel_aspect_ratio_that_is_lost_is_named(tmp_path, target):
    line = "the pixel aspect ratio 4/3 cannot be written: left out"
    for aspect, wanted in ((Fraction(4, 3), [line]), (Fraction(1), [])):
        source = make_clip(tmp_path / "in.mp4", times=2, aspect=aspect)
        warnings = copied(source, tmp_path / target, overwrite=True)
        assert [text for text in warnings if "aspect" in text] == wanted


def test_sound_that_a_folder_cannot_keep_is_named(tmp_path):
    source = make_clip(tmp_path / "a.mp4", audio="aac", times=3)
    assert "a folder of images keeps no sound: left out" in copied(source, tmp_path / "out", copy_from=source)


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint8), (".png", np.uint16), (".tiff", np.uint16)])
def test_single_pictures_are_read_and_written(tmp_path, suffix, dtype):
    source = folder_of(tmp_path / "in", [f"a{suffix}", f"b{suffix}"], dtype, 4)
    info, frames = read_pictures([source / f"a{suffix}", source / f"b{suffix}"])
    assert [frame.pts for frame in frames] == [0, 1]
    target = tmp_path / f"out{suffix}"
    write_picture(target, frames[1], info)
    assert np.array_equal(
        cv2.imread(str(target), cv2.IMREAD_UNCHANGED),
        cv2.imread(str(source / f"b{suffix}"), cv2.IMREAD_UNCHANGED),
    )
    with pytest.raises(MediaError, match=r"cannot be written \(file exists\)"):
        write_picture(target, frames[0], info)
    write_picture(target, frames[0], info, overwrite=True)
    with pytest.raises(MediaError, match="pictures are written as"):
        write_picture(tmp_path / "out.bmp", frames[0], info)
    with pytest.raises(MediaError, match="cannot be written"):
        write_picture(tmp_path / "none" / f"out{suffix}", frames[0], info)
    planes = tuple(np.zeros((2, 70_000), plane.dtype) for plane in frames[0].planes)
    with pytest.raises(MediaError, match=r"wide\.jpg: cannot be written"):  # JPEG ends at 65,535 px
        write_picture(
            tmp_path / "wide.jpg", replace(frames[0], planes=planes), replace(info, width=70_000, height=2)
        )
    with pytest.raises(MediaError, match="no such file"):
        read_pictures([tmp_path / "none.png"])


def with_profile(path: Path, suffix: str) -> Path:
    """A small picture with an ICC profile, as Photoshop, GIMP and screenshots have one."""
    cms = pytest.importorskip("PIL.ImageCms")
    from PIL import Image

    profile = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (48, 64, 3), np.uint8)
    target = path.with_suffix(suffix)
    Image.fromarray(pixels).save(target, icc_profile=profile)
    return target


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_pictures_with_a_colour_profile_are_read_and_the_process_lives(tmp_path, suffix):
    (tmp_path / "in").mkdir()
    for number in range(3):
        with_profile(tmp_path / "in" / str(number), suffix)
    blend = ("--vfi", "blend", "--mask", "off")
    done = run("interpolate", "in", "out/", *blend, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 5
    done = run("pair", f"in/0{suffix}", f"in/1{suffix}", "mid.png", *blend, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_somebody_works_in_stays_the_same_folder(tmp_path, monkeypatch):
    make_clip(tmp_path / "in.mkv", times=3, size=(64, 48))
    work = tmp_path / "work"
    work.mkdir()
    before = work.stat().st_ino
    monkeypatch.chdir(work)
    run = {"vfi": "blend", "mask": "off", "device": "cpu"}
    maskvfi.interpolate("../in.mkv", "%04d.png", **run)
    assert sorted(path.name for path in work.iterdir()) == [f"{n:04d}.png" for n in range(1, 6)]
    maskvfi.interpolate("../in.mkv", "%04d.png", factor=1, overwrite=True, **run)
    assert sorted(path.name for path in work.iterdir()) == ["0001.png", "0002.png", "0003.png"]
    assert work.stat().st_ino == before
