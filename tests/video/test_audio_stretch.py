"""The sound of slow motion: longer, at the same pitch."""

from fractions import Fraction

import av
import pytest
from clips import make_clip, pitch, read, sound_of

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


def test_subtitles_chapters_tags_and_fonts_are_stretched_too(tmp_path):
    source = make_clip(
        tmp_path / "a.mkv",
        times=100,
        audio="flac",
        subtitles=[(400, 1000, "Hello")],
        chapters=[(0, 1000, "One"), (1000, 4000, "Two")],
        font=b"font",
        tags={"title": "Holiday", "artist": "Someone", "comment": "note"},
    )
    target = tmp_path / "b.mkv"
    assert slowed(source, target, Fraction(5, 2), start=Fraction(1, 2), end=Fraction(3)) == []
    with av.open(str(target)) as made:
        tags = {key.lower(): value for key, value in made.metadata.items()}
        assert {"title": "Holiday", "artist": "Someone", "comment": "note"}.items() <= tags.items()
        times = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in made.chapters()
        ]
        assert times == [(0, Fraction(5, 4), "One"), (Fraction(5, 4), Fraction(25, 4), "Two")]
        assert [stream.type for stream in made.streams] == ["video", "audio", "subtitle", "attachment"]
        assert made.streams.subtitles[0].language == "fra"
        line = next(packet for packet in made.demux(subtitles=0) if packet.size)
        assert (line.pts, line.duration) == (0, 2250)


def test_sound_that_the_output_cannot_hold_is_named(tmp_path):
    source = make_clip(tmp_path / "a.mkv", audio="flac")
    with VideoReader(source) as reader:
        made = VideoWriter(
            tmp_path / "b.gif",
            reader.info,
            rate=Fraction(25),
            codec="gif",
            copy_from=source,
            slow=Fraction(2),
        )
        made.abort()
    assert "stream 1 (audio flac) is left out: gif cannot hold it" in made.warnings
