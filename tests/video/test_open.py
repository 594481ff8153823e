"""Pipes of yuv4mpeg, opened by the name `-`."""

import io
import sys
from fractions import Fraction

import pytest
from clips import digest, make_clip, read

from maskvfi.video import open_sink, open_source

VFR = (0, 40, 45, 100, 101, 160, 400, 440, 441, 500)  # milliseconds
UNTAGGED = (2, 1, 2, 2)  # colours of which nothing is known but the range


class Pipe(io.BytesIO):
    """A stream that can be read or written once, like stdin and stdout."""

    name = "<pipe>"

    def seekable(self):
        return False

    @property
    def buffer(self):
        return self


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray"])
def test_frames_pass_through_yuv4mpeg_pipes_untouched(tmp_path, monkeypatch, pix_fmt):
    source = make_clip(
        tmp_path / "a.mkv",
        codec="ffv1",
        pix_fmt=pix_fmt,
        time_base=Fraction(1, 20),
        size=(63, 47),
        colour=UNTAGGED,
    )
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    with open_source(source) as reader, open_sink("-", reader.info, rate=reader.info.rate) as sink:
        for frame in reader:
            sink.write(frame)
    assert sink.warnings == []
    monkeypatch.setattr(sys, "stdin", Pipe(pipe.getvalue()))
    with open_source("-") as reader:
        assert reader.info.rate == 20
        assert [digest(frame) for frame in reader] == [d for _, _, d in read(source)]


def test_a_pipe_says_that_it_keeps_no_variable_rate(tmp_path, monkeypatch):
    source = make_clip(tmp_path / "a.mkv", times=VFR, time_base=Fraction(1, 1000))
    monkeypatch.setattr(sys, "stdout", Pipe())
    with open_source(source) as reader, open_sink("-", reader.info, rate=Fraction(25)) as sink:
        for frame in reader:
            sink.write(frame)
    assert any("off the constant rate that the file keeps, by up to 0." in line for line in sink.warnings)


def test_options_that_a_pipe_does_not_have_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Pipe())
    with open_source(make_clip(tmp_path / "a.mkv", colour=UNTAGGED)) as reader:
        sink = open_sink("-", reader.info, rate=Fraction(25), codec="libx265", options={"crf": "18"})
        sink.abort()
    assert sink.warnings == ["a pipe has no options of an encoder: codec, crf left out"]
