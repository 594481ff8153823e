"""Times that a container rounds: a constant rate is read as it was, a variable one as it is stored."""

from fractions import Fraction

import pytest
from clips import ffmpeg, make_clip, read

import maskvfi
from maskvfi.video import open_source

FRAME = Fraction(1001, 24000)  # seconds


@pytest.fixture
def film(tmp_path):
    return make_clip(tmp_path / "film.mp4", times=40, time_base=FRAME)


def remuxed(film, suffix):
    target = film.with_suffix(suffix)
    encode = ("-c:v", "libvpx-vp9", "-deadline", "realtime") if suffix == ".webm" else ("-c", "copy")
    ffmpeg("-i", film, *encode, target)
    return target


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".flv", ".ts", ".mp4"])
def test_frames_of_a_constant_rate_have_their_exact_times(film, suffix):
    source = film if suffix == ".mp4" else remuxed(film, suffix)
    found = read(source)
    first = found[0][0]
    assert [(pts - first, duration) for pts, duration, _ in found] == [(n * FRAME, FRAME) for n in range(40)]
    with open_source(source, start=30 * FRAME) as reader:
        assert [frame.pts - first for frame in reader] == [n * FRAME for n in range(30, 40)]


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_source_frames_on_the_grid_of_a_rate_stay_as_they_are(film, tmp_path, suffix):
    source, target = remuxed(film, suffix), tmp_path / "out.mkv"
    how = {"mask": "off", "vfi": "blend", "device": "cpu", "codec": "ffv1"}
    maskvfi.interpolate(source, target, fps="60000/1001", **how)
    before, after = ([digest for *_, digest in read(path)] for path in (source, target))
    assert before[::2] == after[::5]


def test_a_variable_rate_in_milliseconds_is_read_as_it_is(tmp_path):
    times = (0, 42, 83, 130, 167, 209, 255, 292)
    clip = make_clip(tmp_path / "a.mkv", times=times, time_base=Fraction(1, 1000))
    assert [pts for pts, *_ in read(clip)] == [Fraction(time, 1000) for time in times]
