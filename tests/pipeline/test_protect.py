"""Still pixels come back into other programs' frames, and nothing else of these frames changes."""

import itertools
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import make_clip, packets, read
from typer.testing import CliRunner

import maskvfi
from maskvfi.cli.main import app
from maskvfi.errors import MediaError, OptionError
from maskvfi.pipeline import clock, pairing
from maskvfi.pipeline import protect as module
from maskvfi.video import Frame, SourceInfo, muxer, open_source
from maskvfi.video.orientation import upright_frame, upright_info
from maskvfi.video.pixel_format import Colour, PixelFormat

SIZE = (96, 64)
LOSSLESS = {"codec": "ffv1", "device": "cpu", "scene_cut": "off"}
INNER = (slice(44, 56), slice(14, 82))  # the middle of the panel
PANEL = (slice(40, 60), slice(8, 88))  # what stands still: rows and columns
FAR = (slice(0, 28), slice(0, 96))  # far from it
Times = list[Fraction]


def scene(time: float, seed: int = 0) -> np.ndarray:
    """A texture that moves by 48 px a second, under a panel of stripes that stands still, RGB [64,96,3]."""
    rng = np.random.default_rng(seed)
    wave = sum(
        np.sin(
            (np.arange(96)[None] + 48 * time) * rng.uniform(0.1, 0.5)
            + np.arange(64)[:, None] * rng.uniform(-0.4, 0.4)
        )
        for _ in range(4)
    )
    picture = np.repeat((128 + 25 * wave)[..., None], 3, axis=2)
    picture[..., 1] = picture[..., 1] * 0.8 + 20
    stripes = 128 + 50 * np.sin(np.arange(80) / 3) * np.cos(np.arange(20)[:, None] / 2)
    picture[PANEL] = stripes[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def spoiled(picture: np.ndarray) -> np.ndarray:
    """The frame as a flow that drags the panel along would have it."""
    made = picture.copy()
    made[PANEL] = np.roll(picture[PANEL], 2, axis=1)
    return made


def write(
    path: Path, pictures: list[np.ndarray], times: Times, *, pix_fmt: str = "yuv444p", rotation: int = 0
) -> Path:
    """A lossless file with frames at these times."""
    tick = Fraction(1, 1000) if path.suffix == ".mkv" else Fraction(1, 12_000)
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264rgb" if pix_fmt == "rgb24" else "ffv1", rate=24)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.time_base = video.time_base = tick
        if pix_fmt == "rgb24":
            video.options = {"qp": "0", "preset": "ultrafast"}
        if rotation:
            video.set_display_rotation(rotation)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(
                format=pix_fmt
            )
            frame.pts, frame.time_base = round(time / tick), tick
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def grid(count: int, rate: int, late: Fraction = Fraction(0)) -> Times:
    return [Fraction(k, rate) + late for k in range(count)]


def planes(path: Path) -> list[tuple[np.ndarray, ...]]:
    with open_source(path) as reader:
        return [tuple(plane.copy() for plane in frame.planes) for frame in reader]


SOURCE, MADE = grid(9, 12), grid(17, 24)


def made_frames(times: Times = MADE, source: Times = SOURCE) -> list[np.ndarray]:
    """A program's frames: the source's own where it has some, spoiled ones between."""
    return [scene(float(t)) if t in source else spoiled(scene(float(t))) for t in times]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("protect") / "in.mkv", [scene(float(t)) for t in SOURCE], SOURCE)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("protect") / "made.mkv", made_frames(), MADE)


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> dict[str, object]:
    """Options that take what is still from a painted mask: every weight is 0 or 1."""
    mask = np.zeros((64, 96), np.uint8)
    mask[PANEL] = 255
    path = tmp_path_factory.mktemp("protect") / "painted.png"
    cv2.imwrite(str(path), mask)
    return {**LOSSLESS, "mask": "off", "protect": path}


def test_still_pixels_come_back_and_moving_ones_stay_bit_by_bit(source, made, tmp_path, monkeypatch):
    monkeypatch.setattr("maskvfi.synthesis.interpolator.load_vfi", None)  # no network is loaded
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", threshold=0.5, **LOSSLESS)
    assert [each["name"] for each in report.weights] == ["static-s"]
    assert (report.frames_in, report.frames_out, report.warnings) == (9, 17, [])
    assert 0.1 < report.static_share < 0.6
    before, after, wanted = planes(made), planes(tmp_path / "out.mkv"), planes(source)[0][0][INNER]
    for k in range(17):
        assert np.array_equal(before[k][0][FAR], after[k][0][FAR])
        assert np.abs(after[k][0][INNER].astype(int) - wanted).mean() < 2
    assert np.abs(before[1][0][INNER].astype(int) - wanted).mean() > 10
    assert [time for time, *_ in read(tmp_path / "out.mkv")] == [time for time, *_ in read(made)]


def test_a_caller_can_watch_the_frames(source, made, painted, tmp_path):
    times: list[Fraction] = []
    maskvfi.protect(
        source, made, tmp_path / "out.mkv", watch=lambda frame, info: times.append(frame.pts), **painted
    )
    assert times == [time for time, *_ in read(made)]


@pytest.mark.parametrize("rate", [20, 30, 60])
def test_any_rate_is_protected(source, painted, tmp_path, rate):
    times = grid(rate * 2 // 3, rate)
    made = write(tmp_path / "made.mkv", made_frames(times), times)
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    assert report.frames_out == len(times)
    before, after = planes(made), planes(tmp_path / "out.mkv")
    wanted = planes(source)[0][0][INNER]
    assert all(np.array_equal(each[0][INNER], wanted) for each in after)
    assert all(np.array_equal(a[0][FAR], b[0][FAR]) for a, b in zip(before, after, strict=True))


def test_variable_times_are_kept(source, tmp_path):
    times = [t for k, t in enumerate(MADE) if k not in (3, 4, 9)]
    made = write(tmp_path / "made.mkv", made_frames(times), times)
    maskvfi.protect(source, made, tmp_path / "out.mkv", **LOSSLESS)
    assert [time for time, *_ in read(tmp_path / "out.mkv")] == [time for time, *_ in read(made)]


def test_an_offset_is_found_and_said(source, painted, tmp_path):
    """The program left out the first three frames of its work."""
    made = write(tmp_path / "made.mkv", made_frames()[3:], [t - MADE[3] for t in MADE[3:]])
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    assert any("0.125 s earlier than the source's" in line for line in report.warnings)
    wanted = planes(source)[0][0][INNER]
    assert all(np.array_equal(each[0][INNER], wanted) for each in planes(tmp_path / "out.mkv"))


def test_a_drift_is_found_and_said(source, painted, tmp_path):
    made = write(tmp_path / "made.mkv", made_frames(), [t * 24 / 25 for t in MADE])
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    assert any("4.0" in line and "fast against the source's" in line for line in report.warnings)
    wanted = planes(source)[0][0][INNER]
    assert all(np.array_equal(each[0][INNER], wanted) for each in planes(tmp_path / "out.mkv"))


def test_of_a_long_film_three_parts_are_compared(painted, tmp_path, monkeypatch):
    """The clock drifts by a frame in ten seconds, which no single part shows well."""
    monkeypatch.setattr(clock, "WHOLE", Fraction(1))
    monkeypatch.setattr(clock, "WINDOW", Fraction(1, 2))
    read_parts, samples = [], clock._samples

    def counted(*given):
        found = samples(*given)
        read_parts.append(len(found[0].times))
        return found

    monkeypatch.setattr(clock, "_samples", counted)
    times = grid(60, 12)
    source = write(tmp_path / "in.mkv", [scene(float(t)) for t in times], times)
    fine = grid(119, 24)
    made = write(tmp_path / "made.mkv", made_frames(fine, times), [t * Fraction(251, 250) for t in fine])
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    assert len(read_parts) == 6
    assert max(read_parts[:3]) <= 7
    assert any("0.4" in line and "slow against the source's" in line for line in report.warnings)
    wanted = planes(source)[0][0][INNER]
    assert all(np.array_equal(each[0][INNER], wanted) for each in planes(tmp_path / "out.mkv"))


def test_a_part_of_the_other_file_is_protected(source, made, painted, tmp_path):
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", start=0.25, end=0.5, **painted)
    assert report.frames_out == 6
    before, after = planes(made)[6:12], planes(tmp_path / "out.mkv")
    wanted = planes(source)[0][0][INNER]
    assert all(np.array_equal(each[0][INNER], wanted) for each in after)
    assert all(np.array_equal(a[0][FAR], b[0][FAR]) for a, b in zip(before, after, strict=True))


def test_a_folder_of_images_has_a_multiple_of_the_sources_rate(source, painted, tmp_path):
    (tmp_path / "made").mkdir()
    for number, picture in enumerate(made_frames()):
        cv2.imwrite(str(tmp_path / "made" / f"{number:03}.png"), picture[..., ::-1])
    report = maskvfi.protect(source, tmp_path / "made", tmp_path / "out.mkv", **painted)
    assert report.frames_out == 17
    after = read(tmp_path / "out.mkv")
    assert [time for time, *_ in after] == pytest.approx([float(time) for time in MADE], abs=1e-3)


@pytest.mark.parametrize(
    ("before", "count", "times"),
    [(3, 9, 4), (4, 25, 8), (24, 369, 16), (24, 48, 2), (24, 60, 2), (1, 2, 2), (2, 4, 2), (3, 1, 1)],
)
def test_a_folder_has_new_frames_between_the_sources_alone_or_a_multiple_of_them(
    tmp_path, before, count, times
):
    for folder, number in (("in", before), ("made", count)):
        (tmp_path / folder).mkdir()
        for name in range(number):
            (tmp_path / folder / f"{name:03}.png").touch()
    info = SourceInfo(
        "",
        8,
        8,
        PixelFormat.parse("gbrp"),
        Colour("bt709", True),
        rate=Fraction(24),
        time_base=Fraction(1, 24),
    )
    assert pairing._rate_of(tmp_path / "made", tmp_path / "in", info) == 24 * times


def test_deep_alpha_goes_into_a_larger_version(tmp_path):
    for name, size, count in (("in", (32, 24), 3), ("made", (64, 48), 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            picture = np.full((size[1], size[0], 4), 30_000, np.uint16)
            picture[..., 3] = 40_001
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
    maskvfi.protect(tmp_path / "in", tmp_path / "made", tmp_path / "out", device="cpu")
    made = cv2.imread(str(tmp_path / "out" / "00000002.png"), cv2.IMREAD_UNCHANGED)
    assert made.shape == (48, 64, 4)
    assert np.abs(made[..., 3].astype(int) - 40_001).max() <= 1


def test_a_part_that_begins_after_the_source_is_left_as_it_is(painted, tmp_path):
    times, fine = grid(24, 12), grid(120, 24)
    source = write(tmp_path / "in.mkv", [scene(float(t)) for t in times], times)
    made = write(tmp_path / "made.mkv", made_frames(fine, times), fine)
    maskvfi.protect(source, made, tmp_path / "out.mkv", start=Fraction(4), **painted)
    before, after = planes(made)[96:], planes(tmp_path / "out.mkv")
    assert len(after) == 24
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(before, after, strict=True))


def test_a_folder_of_images_has_the_rate_that_is_asked_for(source, painted, tmp_path):
    """It holds the beginning alone, so that a multiple of the source's rate would be wrong."""
    (tmp_path / "made").mkdir()
    for number, picture in enumerate(made_frames()[:9]):
        cv2.imwrite(str(tmp_path / "made" / f"{number:03}.png"), picture[..., ::-1])
    report = maskvfi.protect(source, tmp_path / "made", tmp_path / "out.mkv", rate=24, **painted)
    assert [time for time, *_ in read(tmp_path / "out.mkv")] == pytest.approx(
        [float(time) for time in MADE[:9]], abs=1e-3
    )
    assert not [line for line in report.warnings if "rate" in line]


def test_an_untagged_version_has_the_matrix_that_fits(painted, tmp_path):
    """Programs drop the tag of the matrix; what was BT.709 would be taken for BT.601."""
    source = make_clip(tmp_path / "in.mkv", times=8, size=SIZE, codec="ffv1", options={}, colour=(1, 1, 1, 1))
    made = make_clip(tmp_path / "made.mkv", times=8, size=SIZE, codec="ffv1", options={}, colour=(2, 1, 2, 2))
    maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    for a, b in zip(planes(source), planes(tmp_path / "out.mkv"), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_larger_frames_get_the_scaled_source(source, painted, tmp_path):
    doubled = [
        cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for picture in made_frames()
    ]
    made = write(tmp_path / "made.mkv", doubled, MADE)
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    assert report.warnings == ["the source is 96x64: scaled to 192x128 (bicubic)"]
    before, after = planes(made), planes(tmp_path / "out.mkv")
    wanted = before[0][0][92:108, 40:150].astype(int)
    assert np.abs(before[1][0][92:108, 40:150] - wanted).mean() > 8
    assert np.abs(after[1][0][92:108, 40:150] - wanted).mean() < 2
    assert np.array_equal(before[1][0][:50], after[1][0][:50])


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "rgb24", "gray"])
def test_the_other_programs_pixel_format_is_kept(source, painted, tmp_path, pix_fmt):
    made = write(tmp_path / "made.mkv", made_frames(), MADE, pix_fmt=pix_fmt)
    maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    with open_source(tmp_path / "out.mkv") as reader, open_source(made) as other:
        assert reader.info.format == other.info.format
        after, before = list(reader), list(other)
    top = 4 if "10" in pix_fmt else 1
    wanted = before[0].planes[0][INNER].astype(int)  # a source frame in that format
    assert np.abs(after[1].planes[0][INNER] - wanted).max() <= 2 * top
    assert np.abs(before[1].planes[0][INNER] - wanted).max() > 20 * top
    assert np.array_equal(before[1].planes[0][FAR], after[1].planes[0][FAR])


def test_frames_over_a_cut_stay_as_they_are(tmp_path):
    shots = [scene(float(t), seed=1 if t >= Fraction(1, 2) else 0) for t in grid(12, 12)]
    shots[6:] = [picture // 4 + np.array([0, 0, 150], np.uint8) for picture in shots[6:]]
    source = write(tmp_path / "in.mkv", shots, grid(12, 12))
    frames = []
    for a, b in itertools.pairwise(shots):
        frames += [a, cv2.addWeighted(a, 0.5, b, 0.5, 0)]
    made = write(tmp_path / "made.mkv", [*frames, shots[-1]], grid(23, 24))
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", codec="ffv1", device="cpu")
    assert report.cuts == 1
    before, after = planes(made), planes(tmp_path / "out.mkv")
    assert all(np.array_equal(a, b) for a, b in zip(before[11], after[11], strict=True))


def test_another_film_is_refused_in_one_line_and_nothing_is_written(source, tmp_path):
    other = write(tmp_path / "other.mkv", [scene(float(t), seed=5) for t in MADE], MADE)
    inside = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(app, ["protect", str(source), str(other), str(tmp_path / "out.mkv")])
    assert isinstance(done.exception, MediaError)
    assert "other.mkv: was not made from" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert sorted(tmp_path.iterdir()) == inside


@pytest.mark.parametrize("counts", [(1, 1), (1, 3), (2, 1)])
def test_a_single_frame_is_protected_and_another_one_refused(painted, tmp_path, counts):
    times = grid(3, 24)
    of_source, of_made = counts
    source = write(tmp_path / "in.mkv", [scene(float(t)) for t in times[:of_source]], times[:of_source])
    made = write(tmp_path / "made.mkv", [scene(float(t)) for t in times[:of_made]], times[:of_made])
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    assert report.frames_out == of_made
    assert all(
        np.array_equal(a, b)
        for before, after in zip(planes(made), planes(tmp_path / "out.mkv"), strict=True)
        for a, b in zip(before, after, strict=True)
    )
    other = write(tmp_path / "other.mkv", [scene(0, seed=5)[::-1]] * of_made, times[:of_made])
    with pytest.raises(MediaError, match="was not made from"):
        maskvfi.protect(source, other, tmp_path / "refused.mkv", **painted)


def test_what_cannot_be_protected_is_refused(source, made, tmp_path):
    small = write(tmp_path / "small.mkv", [each[:60] for each in made_frames()], MADE)
    with pytest.raises(MediaError, match="is 96x60, which is no whole multiple of the source's 96x64"):
        maskvfi.protect(source, small, tmp_path / "out.mkv")
    with pytest.raises(OptionError, match="neither can be a pipe"):
        maskvfi.protect(source, "-", tmp_path / "out.mkv")
    with pytest.raises(OptionError, match="mask is off"):
        maskvfi.protect(source, made, tmp_path / "out.mkv", mask="off")
    with pytest.raises(MediaError, match="is the input itself"):
        maskvfi.protect(source, made, made, overwrite=True)
    with pytest.raises(MediaError, match="exists already"):
        maskvfi.protect(source, made, small)


def test_a_turned_source_is_turned_as_the_other_program_did(painted, tmp_path):
    shown = [scene(float(t)) for t in SOURCE]
    source = write(
        tmp_path / "in.mov", [np.rot90(each, -1) for each in shown], SOURCE, pix_fmt="rgb24", rotation=90
    )
    with open_source(source) as reader:
        upright: Frame = upright_frame(next(iter(reader)), reader.info)
        assert (upright_info(reader.info).width, upright.planes[0].shape) == (96, (64, 96))
        assert np.array_equal(upright.planes[0], shown[0][..., 1])
    made = write(tmp_path / "made.mkv", made_frames(), MADE, pix_fmt="rgb24")
    maskvfi.protect(source, made, tmp_path / "out.mkv", **painted)
    after = planes(tmp_path / "out.mkv")
    assert np.array_equal(after[1][0][INNER], shown[0][INNER][..., 1])


def test_sound_and_the_rest_are_those_of_the_other_program(tmp_path):
    source = make_clip(tmp_path / "in.mkv", times=8, size=SIZE, audio="flac")
    made = make_clip(
        tmp_path / "made.mkv",
        times=8,
        size=SIZE,
        audio="aac",
        subtitles=[(0, 100, "a")],
        chapters=[(0, 200, "c")],
    )
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **LOSSLESS)
    assert packets(tmp_path / "out.mkv", "audio") == packets(made, "audio")
    assert packets(tmp_path / "out.mkv", "subtitle") == packets(made, "subtitle")
    assert not any("no sound" in line for line in report.warnings)


def test_a_version_without_sound_gets_that_of_the_source(tmp_path):
    source = make_clip(tmp_path / "in.mkv", times=8, size=SIZE, audio="flac")
    made = make_clip(tmp_path / "made.mkv", times=8, size=SIZE)
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **LOSSLESS)
    assert [data for _, data in packets(tmp_path / "out.mkv", "audio")] == [
        d for _, d in packets(source, "audio")
    ]
    assert any("made.mkv: has no sound: the other streams are those of" in line for line in report.warnings)


def test_a_resumed_run_writes_what_an_unbroken_one_writes(source, made, tmp_path, monkeypatch):
    monkeypatch.setattr(muxer, "SEGMENT", 4)
    whole = maskvfi.protect(source, made, tmp_path / "whole.mkv", **LOSSLESS)
    write_frame = module._Protection._write

    def stopped(self, sink, frame, outside=False):
        if self.result.frames_out == 14:
            raise KeyboardInterrupt
        write_frame(self, sink, frame, outside)

    with monkeypatch.context() as patch:
        patch.setattr(module._Protection, "_write", stopped)
        with pytest.raises(KeyboardInterrupt, match="frames are kept"):
            maskvfi.protect(source, made, tmp_path / "out.mkv", **LOSSLESS)
    other = shutil.copy(source, tmp_path / "other.mkv")
    with pytest.raises(MediaError, match="cannot be resumed"):
        maskvfi.protect(
            other, made, tmp_path / "out.mkv", resume=True, **LOSSLESS | {"codec": "ffv1", "threshold": 0.6}
        )
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", resume=True, **LOSSLESS)
    assert report.resumed_at > 0
    assert (report.frames_out, report.static_share) == (17, pytest.approx(whole.static_share))
    assert read(tmp_path / "out.mkv") == read(tmp_path / "whole.mkv")


def test_of_a_damaged_version_what_can_be_read_is_written_unless_strict(tmp_path):
    source = make_clip(tmp_path / "in.mkv", times=120, codec="ffv1", options={}, size=(48, 32))
    broken = tmp_path / "cut.mkv"
    broken.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    report = maskvfi.protect(source, broken, tmp_path / "out.mkv", **LOSSLESS)
    assert "cut.mkv" in report.damage
    assert 60 < report.frames_out < 100
    with pytest.raises(MediaError, match=r"cut\.mkv"):
        maskvfi.protect(source, broken, tmp_path / "strict.mkv", strict=True, **LOSSLESS)
    assert not (tmp_path / "strict.mkv").exists()


def test_the_command_writes_the_file_and_a_report(source, made, tmp_path):
    words = [
        "protect",
        source,
        made,
        tmp_path / "out.mkv",
        "--report",
        tmp_path / "r.json",
        "--codec",
        "ffv1",
    ]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "17 frames" in done.output
    assert '"frames_out": 17' in (tmp_path / "r.json").read_text()


@pytest.mark.parametrize("window", [{"end": Fraction(57)}, {"start": Fraction(3)}])
def test_a_part_that_is_nearly_all_of_a_film_is_no_drift(painted, tmp_path, monkeypatch, window):
    monkeypatch.setattr(clock, "WHOLE", Fraction(1))
    monkeypatch.setattr(clock, "WINDOW", Fraction(2))
    times, fine = grid(60 * 6, 6), grid(60 * 12 - 1, 12)
    source = write(tmp_path / "in.mkv", [scene(float(t)) for t in times], times)
    made = write(tmp_path / "made.mkv", made_frames(fine, times), fine)
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **window, **painted)
    assert report.warnings == []


def test_what_the_source_has_and_the_other_file_lacks_is_named(tmp_path):
    more = {"subtitles": [(0, 100, "a")], "chapters": [(0, 200, "c")]}
    source = make_clip(tmp_path / "in.mkv", times=8, size=SIZE, audio="flac", **more)
    made = make_clip(tmp_path / "made.mkv", times=8, size=SIZE, audio="aac")
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **LOSSLESS)
    assert any("in.mkv: its subtitles and chapters: left out" in line for line in report.warnings)


def test_a_version_of_pictures_alone_gets_subtitles_and_chapters_of_the_source(tmp_path):
    more = {"subtitles": [(0, 100, "a")], "chapters": [(0, 200, "c")]}
    source = make_clip(tmp_path / "in.mkv", times=8, size=SIZE, **more)
    made = make_clip(tmp_path / "made.mkv", times=8, size=SIZE)
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", **LOSSLESS)
    assert any("made.mkv: has no subtitles and no chapters" in line for line in report.warnings)
    assert packets(tmp_path / "out.mkv", "subtitle") == packets(source, "subtitle")
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert len(out.chapters()) == 1


def beeping(path: Path, pictures: Path, seconds: int) -> Path:
    """The pictures of a file with a beep every second."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("making the sound needs ffmpeg")
    beeps = f"aevalsrc=0.5*sin(2*PI*880*t)*lt(mod(t\\,1)\\,0.1):s=48000:d={seconds}"
    make = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        pictures,
        "-f",
        "lavfi",
        "-i",
        beeps,
        "-c:v",
        "copy",
        "-c:a",
        "flac",
    ]
    subprocess.run([*map(str, make), str(path)], check=True)
    return path


def heard(path: Path) -> tuple[float, list[float]]:
    """When the sound of a file ends, and when each beep begins, in seconds."""
    with av.open(str(path)) as file:
        found = [(frame.time, frame.to_ndarray()[0]) for frame in file.decode(audio=0)]
    sound = np.concatenate([samples for _, samples in found])
    loud = np.flatnonzero(np.abs(sound) > 0.2 * np.abs(sound).max()) / 48000 + found[0][0]
    begins = [float(at) for k, at in enumerate(loud) if k == 0 or at - loud[k - 1] > 0.3]
    return found[0][0] + len(sound) / 48000, begins


@pytest.mark.parametrize(
    ("pace", "late"), [(1, 0), (Fraction(24, 25), 0), (1, Fraction(1, 2)), (1, Fraction(-1, 2))]
)
@pytest.mark.parametrize("window", [None, (Fraction(3, 4), Fraction(9, 4))])
def test_sound_of_the_source_keeps_step_with_another_clock(tmp_path, pace, late, window):
    """The other program made the film faster, left out its beginning or put something before it; without sound."""
    times = grid(37, 12)
    pictures = write(tmp_path / "pictures.mkv", [scene(float(t)) for t in times], times)
    source = beeping(tmp_path / "in.mkv", pictures, 3)
    fine = grid(73, 24)
    frames = list(zip(fine, made_frames(fine, times), strict=True))
    if late < 0:
        frames = [(t, frame) for t, frame in frames if t >= -late]
    shown = [(t * pace + late, frame) for t, frame in frames]
    if late > 0:
        shown = [(Fraction(k, 24), spoiled(frames[0][1])) for k in range(int(24 * late))] + shown
    made = write(tmp_path / "made.mkv", [frame for _, frame in shown], [t for t, _ in shown])
    start, end = window or (Fraction(0), Fraction(10))
    part = {} if window is None else {"start": start, "end": end}
    maskvfi.protect(source, made, tmp_path / "out.mkv", **part, **LOSSLESS)
    last, begins = heard(tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        picture = next(out.decode(video=0)).time  # without a window, sound before the first picture is kept
    assert picture == pytest.approx(0 if window else max(0, -float(late)), abs=0.05)
    length = float(min(3 * pace + late, end) - start)
    expected = [float(k * pace + late - start) for k in range(3)]
    expected = [at for at in expected if window is None or -0.001 <= at < length]
    assert [at - picture for at in begins] == pytest.approx(expected, abs=0.045)
    assert last - picture == pytest.approx(length, abs=0.15)


def test_the_source_is_not_read_beyond_the_last_frame(tmp_path, painted):
    times = grid(120, 12)
    source = write(tmp_path / "in.mkv", [scene(float(t)) for t in times], times)
    fine = grid(239, 24)
    made = write(tmp_path / "made.mkv", made_frames(fine, times), fine)
    report = maskvfi.protect(source, made, tmp_path / "out.mkv", end=0.5, **painted)
    assert report.frames_out == 12
    assert report.frames_in < 60
