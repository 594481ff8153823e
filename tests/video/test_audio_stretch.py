"""The sound of slow motion: longer, at the same pitch."""

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import make_clip, read

from maskvfi.video import Frame, VideoReader, VideoWriter


def slowed(source, target, slow, **window):
    with (
        VideoReader(source, **window) as reader,
        VideoWriter(target, reader.info, rate=Fraction(25), copy_from=source, slow=slow, **window) as writer,
    ):
        origin = reader.info.start_time
        for frame in reader:
            pts = origin + (frame.pts - origin) * slow
            writer.write(Frame(frame.planes, frame.format, pts, frame.duration * slow))
    return writer.warnings


def sound_of(path) -> np.ndarray:
    """The samples of the first channel."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def pitch(samples: np.ndarray) -> float:
    """The loudest frequency, in Hz of 48000 samples a second."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 48000 / len(samples))


@pytest.mark.parametrize("slow", [Fraction(2), Fraction(5), Fraction(3, 2)])
def test_sound_lasts_as_long_as_the_picture_at_the_same_pitch(tmp_path, slow):
    source = make_clip(tmp_path / "a.mp4", times=50, audio="aac")
    target = tmp_path / "b.mp4"
    assert slowed(source, target, slow) == []
    before, after = sound_of(source), sound_of(target)
    assert abs(len(after) / len(before) - slow) < 0.1
    assert abs(pitch(after) / pitch(before) - 1) < 0.01
    assert read(target)[-1][0] == read(source)[-1][0] * slow


def test_a_window_holds_its_own_sound(tmp_path):
    source = make_clip(tmp_path / "a.mp4", times=100, audio="aac")
    slowed(source, tmp_path / "b.mp4", Fraction(2), start=Fraction(1), end=Fraction(2))
    assert abs(len(sound_of(tmp_path / "b.mp4")) / 48000 - 2) < 0.1


def test_other_streams_are_named(tmp_path):
    source = make_clip(tmp_path / "a.mkv", audio="flac", subtitles=[(0, 100, "Hello")])
    warnings = slowed(source, tmp_path / "b.mkv", Fraction(2))
    assert warnings == [f"{source}: subtitles and other streams are left out of slow motion"]
