"""Segments of a file, encoded apart."""

import json
from fractions import Fraction

import pytest
from clips import LOSSLESS, make_clip, read

from maskvfi.errors import MediaError
from maskvfi.video import VideoReader, VideoWriter, muxer

B_FRAMES = {"qp": "0", "preset": "ultrafast", "bf": "2"}


@pytest.mark.parametrize(("suffix", "options"), [(".mp4", B_FRAMES), (".mkv", LOSSLESS["libx264"])])
def test_an_interrupted_file_goes_on_after_its_segments(tmp_path, monkeypatch, suffix, options):
    monkeypatch.setattr(muxer, "SEGMENT", 8)
    source = make_clip(tmp_path / "a.mp4", times=30)
    target = tmp_path / f"b{suffix}"

    def write(stop: int, **more: object) -> VideoWriter:
        with (
            VideoReader(source) as reader,
            VideoWriter(target, reader.info, rate=Fraction(25), options=options, facts={}, **more) as writer,
        ):
            for n, frame in enumerate(reader):
                if n < writer.kept:
                    continue
                if n == stop:
                    raise MediaError("stopped")
                writer.write(frame)
                writer.mark({"next": n + 1})
        return writer

    with pytest.raises(MediaError, match=r"stopped \(16 frames are kept, resume goes on there\)"):
        write(20)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [f".b{suffix}.unfinished"]
    index = json.loads((tmp_path / f".b{suffix}.unfinished" / "00001.json").read_text())
    assert index["state"]["run"] == {"next": 16}
    write(99, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", target.name]
    sent, got = read(source), read(target)
    assert [d for _, _, d in got] == [d for _, _, d in sent]
    assert [pts for pts, _, _ in got] == [pts for pts, _, _ in sent]


def test_a_segment_made_apart_is_that_of_the_whole_file(tmp_path):
    source = make_clip(tmp_path / "a.mp4", times=12)
    with VideoReader(source) as reader:
        frames = list(reader)
    made = []
    for name in ("b", "c"):
        writer = VideoWriter(tmp_path / f"{name}.mp4", reader.info, rate=Fraction(25), options=B_FRAMES)
        begin = {"at": {"count": 5, "last": 4, "end": 5, "moved": 0, "off_grid": 0}, "shift": "0"}
        writer.begin_apart(begin)
        for frame in frames[5:]:
            writer.write(frame)
        made.append(writer.segment(last=True))
        writer.abort()
    assert made[0] == made[1]
    tick = writer.time_base
    assert sorted(packet.pts * tick for packet in made[0]) == [Fraction(n, 25) for n in range(5, 12)]
    assert made[0][0].key
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_frame_of_another_size_is_refused(tmp_path):
    with VideoReader(make_clip(tmp_path / "b.mp4", size=(96, 48))) as other:
        frame = next(iter(other))
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        writer = VideoWriter(tmp_path / "c.mp4", reader.info, rate=Fraction(25))
    writer.write(frame)
    with pytest.raises(ValueError, match=r"\(48, 96\) does not fit a video of \(48, 64\)"):
        writer.finish()
