"""Masks and comparisons: the colours of their source, and a word on what is not kept of it."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import make_clip
from typer.testing import CliRunner

import maskvfi
from maskvfi.cli.main import app
from maskvfi.errors import OptionError
from maskvfi.video import MediaError, open_source
from maskvfi.video.images import read_pictures, write_picture
from maskvfi.video.planes import planes_to_rgb, to_tensors

PLAIN = {"vfi": "blend", "device": "cpu"}


def mean_colour(path: Path) -> np.ndarray:
    """The mean of the first frame in RGB, in 8-bit code values."""
    with open_source(path) as reader:
        frame = next(iter(reader))
        rgb = planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, reader.info.colour)
    return (rgb[0].mean((-1, -2)) * 255).numpy()


@pytest.mark.parametrize("height", [480, 576])
def test_a_comparison_of_an_untagged_small_video_keeps_its_colours(tmp_path, height):
    source = make_clip(tmp_path / "a.mp4", times=3, size=(64, height), colour=(2, 0, 2, 2))
    maskvfi.compare(source, tmp_path / "both.mp4", **PLAIN)
    with open_source(source) as before, open_source(tmp_path / "both.mp4") as after:
        assert after.info.height == 2 * height
        assert after.info.colour.matrix == before.info.colour.matrix == "bt601"
        assert after.info.colour.matrix_tag == 5
    assert np.abs(mean_colour(tmp_path / "both.mp4") - mean_colour(source)).max() < 1


@pytest.fixture
def cut_off(tmp_path) -> Path:
    whole = make_clip(tmp_path / "whole.mkv", times=120, codec="ffv1", options={}, size=(48, 32))
    broken = tmp_path / "cut.mkv"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    return broken


@pytest.mark.parametrize("command", ["mask", "compare"])
def test_what_could_be_read_of_a_damaged_video_is_shown_unless_strict(tmp_path, cut_off, command):
    make = {"mask": maskvfi.mask_video, "compare": maskvfi.compare}[command]
    options = {"device": "cpu"} if command == "mask" else PLAIN
    done = make(cut_off, tmp_path / "out.mp4", **options)
    assert "cut off" in done.damage
    assert 60 < done.frames_in < 100
    assert done.frames_out == (done.frames_in if command == "mask" else 2 * done.frames_in - 1)
    with pytest.raises(MediaError, match="cut off"):
        make(cut_off, tmp_path / "strict.mp4", strict=True, **options)
    assert not (tmp_path / "strict.mp4").exists()


@pytest.mark.parametrize("command", ["mask", "compare"])
def test_sound_subtitles_and_chapters_are_kept(tmp_path, command):
    source = make_clip(
        tmp_path / "a.mkv", audio="flac", subtitles=[(0, 100, "x")], chapters=[(0, 200, "one")]
    )
    options = {"device": "cpu"} if command == "mask" else PLAIN
    {"mask": maskvfi.mask_video, "compare": maskvfi.compare}[command](source, tmp_path / "b.mkv", **options)
    with av.open(str(tmp_path / "b.mkv")) as made:
        assert {stream.type for stream in made.streams} == {"video", "audio", "subtitle"}
        assert len(made.chapters()) == 1


def half_painted(path: Path) -> Path:
    """A painted mask for `make_clip`: its left half is white."""
    paint = np.zeros((48, 64), np.uint8)
    paint[:, :32] = 255
    cv2.imwrite(str(path), paint)
    return path


@pytest.mark.parametrize("command", ["mask", "compare"])
def test_the_report_says_what_was_still_and_how_long_it_took(tmp_path, command):
    source = make_clip(tmp_path / "in.mkv", codec="ffv1", times=4)
    options = {"mask": None, "protect": half_painted(tmp_path / "half.png"), "device": "cpu"}
    make = {"mask": maskvfi.mask_video, "compare": maskvfi.compare}[command]
    done = make(source, tmp_path / "out.mp4", **options, **({} if command == "mask" else {"vfi": "blend"}))
    assert done.static_share == 0.5
    assert done.seconds["total"] > 0


def test_a_programs_own_interpolator_is_left_as_it_is(tmp_path):
    source, paint = make_clip(tmp_path / "in.mkv", codec="ffv1", times=3), half_painted(tmp_path / "half.png")
    own = maskvfi.Interpolator("blend", None, device="cpu")
    done = maskvfi.interpolate(
        source, tmp_path / "out.mkv", interpolator=own, protect=paint, vfi="blend", mask=None
    )
    assert done.static_share == 0.5
    assert own.protect is None
    maskvfi.protect(
        source, tmp_path / "out.mkv", tmp_path / "back.mkv", interpolator=own, protect=paint, mask=None
    )
    assert own.protect is None
    with pytest.raises(MediaError, match=r"missing\.png"):
        maskvfi.pair(paint, paint, tmp_path / "pair.png", interpolator=own, protect=tmp_path / "missing.png")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_at_both_ends_a_pair_gives_its_own_pictures(tmp_path, suffix, dtype, channels):
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (2, 24, 32, channels), dtype)
    for name, picture in zip("ab", noise, strict=True):
        cv2.imwrite(str(tmp_path / f"{name}{suffix}"), picture.squeeze())
    given = [tmp_path / f"{name}{suffix}" for name in "ab"]
    made = maskvfi.pair(*given, tmp_path / f"out{suffix}", at=(0, 1), vfi="blend", device="cpu")
    _, frames = read_pictures([*given, *made])
    for before, after in zip(frames[:2], frames[2:], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before.planes, after.planes, strict=True))


def test_times_of_a_pair_may_be_any_numbers_and_differ(tmp_path):
    a, b = (half_painted(tmp_path / name) for name in ("a.png", "b.png"))
    made = maskvfi.pair(
        a, b, tmp_path / "m.png", at=(x for x in np.float32([0.25, 0.5])), vfi="blend", mask=None
    )
    assert [path.name for path in made] == ["m_0.25.png", "m_0.5.png"]
    with pytest.raises(maskvfi.OptionError, match="two of the times are equal"):
        maskvfi.pair(a, b, tmp_path / "n.png", at=(0.3333333, 0.33333334), vfi="blend", mask=None)


@pytest.mark.parametrize("command", ["mask", "compare", "pair"])
def test_the_input_is_never_replaced(tmp_path, command):
    is_pair = command == "pair"
    source = (
        half_painted(tmp_path / "0.png") if is_pair else make_clip(tmp_path / "in.mkv", codec="ffv1", times=2)
    )
    before = source.read_bytes()
    more = [str(half_painted(tmp_path / "1.png"))] if is_pair else []
    arguments = [command, str(source), *more, str(source), "--overwrite", "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert "is the input itself" in str(done.exception)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "asked", "line"),
    [
        ("out.mp4", {"at": 0.1}, "at chooses the frame of a picture, and the target is a video"),
        ("out.png", {"at": float("nan")}, "at must be a number of seconds of at least 0, not nan"),
        ("out.png", {"at": float("inf")}, "at must be a number of seconds of at least 0, not inf"),
        ("out.png", {"at": 0.1, "start": 2}, "at is 0.1 s, which lies before start"),
        ("out.png", {"at": 0.2, "end": 0.1}, "at is 0.2 s, which does not lie before end"),
        ("out.png", {"at": -5}, "at must be a number of seconds of at least 0, not -5"),
        (
            "out.png",
            {"codec": "libx264", "crf": 20, "encoder_options": {"g": "1"}},
            "a picture is written as its suffix says, and takes no codec, crf, encoder_options",
        ),
    ],
)
def test_what_a_comparison_would_not_use_is_refused(tmp_path, target, asked, line):
    source = make_clip(tmp_path / "in.mp4", times=4)
    with pytest.raises(OptionError, match=f"^{line}$"):
        maskvfi.compare(source, tmp_path / target, **asked, **PLAIN)
    assert not (tmp_path / target).exists()


def test_a_time_after_the_last_frame_has_nothing_to_compare(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=4)
    with pytest.raises(MediaError, match=r"in\.mp4: has no new frame at 100 s to compare$"):
        maskvfi.compare(source, tmp_path / "out.png", at=100, **PLAIN)


def test_without_a_mask_there_is_nothing_to_show(tmp_path):
    with pytest.raises(OptionError, match="there is no mask to show"):
        maskvfi.mask_video("in.mkv", tmp_path / "out.mkv", mask=None, release="release.png")


@pytest.mark.parametrize("command", ["mask", "compare", "pair"])
def test_warnings_are_printed(tmp_path, command):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p10le", times=2)
    if command == "pair":
        with open_source(source) as reader:
            pictures = [tmp_path / "0.exr", tmp_path / "1.exr"]
            for path, frame in zip(pictures, reader, strict=True):
                write_picture(path, frame, reader.info)
        arguments, warning = [*map(str, pictures), str(tmp_path / "m.png")], "16 instead of 32 bits"
    else:
        arguments, warning = (
            [str(source), str(tmp_path / "out.mp4"), "--codec", "mpeg4"],
            "8 instead of 10 bits",
        )
    more = ["--device", "cpu"] if command == "mask" else ["--device", "cpu", "--vfi", "blend"]
    done = CliRunner().invoke(app, [command, *arguments, *more])
    assert done.exit_code == 0, done.output
    assert "warning: " in done.output
    assert warning in done.output


def test_a_new_frame_between_the_last_frame_and_the_first_is_compared(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=2)
    maskvfi.compare(source, tmp_path / "out.png", at=0.06, loop=True, factor=4, scene_cut="off", **PLAIN)
    assert (tmp_path / "out.png").exists()


def test_what_is_released_is_not_shown_as_still_where_frames_are_equal(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for k, name in enumerate("aab"):
        level = 60 if name == "a" else 160
        cv2.imwrite(str(folder / f"{k}.png"), np.full((48, 64, 3), level, np.uint8))
    cv2.imwrite(str(tmp_path / "release.png"), np.full((48, 64), 255, np.uint8))
    maskvfi.mask_video(
        folder, tmp_path / "out.mkv", release=tmp_path / "release.png", codec="ffv1", device="cpu"
    )
    with open_source(tmp_path / "out.mkv") as reader:
        assert max(int(frame.planes[0].max()) for frame in reader) <= 16


@pytest.mark.parametrize(
    ("target", "first"), [("out/%04d.png", "out/0001.png"), ("shots.v2/", "shots.v2/00000001.png")]
)
def test_a_comparison_may_be_a_folder_of_pictures(tmp_path, monkeypatch, target, first):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    maskvfi.compare(make_clip(tmp_path / "a.mp4", times=3), target, **PLAIN)
    assert cv2.imread(first).shape == (96, 64, 3)
    assert len(list(Path(first).parent.iterdir())) == 5
