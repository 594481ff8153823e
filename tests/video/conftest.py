"""Fixtures for the tests of videos."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import picture


@pytest.fixture
def with_cover() -> Callable[[Path, Path], Path]:
    """A function that copies the video of a clip into a new file, with a PNG cover."""
    return _with_cover


def _with_cover(clip: Path, target: Path) -> Path:
    cover = av.CodecContext.create("png", "w")
    cover.width, cover.height, cover.pix_fmt, cover.time_base = 16, 16, "rgb24", Fraction(1, 25)
    frame = picture(3, 16, 16, "rgb24")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    data = b"".join(bytes(p) for p in (*cover.encode(frame), *cover.encode(None)))
    with av.open(str(clip)) as source, av.open(str(target), "w") as out, av.open(io.BytesIO(data)) as png:
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        art = out.add_stream_from_template(png.streams.video[0], opaque=True)
        art.disposition = av.stream.Disposition.attached_pic
        for packet in png.demux():
            if packet.size:
                packet.stream = art
                out.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = video
                out.mux(packet)
    return target
