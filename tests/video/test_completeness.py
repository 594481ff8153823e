"""A video that is whole is read to its end; a damaged one as far as it goes, and says so."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import ffmpeg, picture, read

from maskvfi.video import MediaError, VideoReader


def held_at_the_end(path, seconds, bf, begin=0):
    """A clip of four frames at 10 per second, the last of which is held."""
    with av.open(str(path), "w") as out:
        codec = {".webm": "libvpx-vp9", ".gif": "gif"}.get(path.suffix, "libx264")
        pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream = out.add_stream(codec, rate=10, options={"bf": str(bf)} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        tick = Fraction(1, 100)
        stream.codec_context.time_base = stream.time_base = tick
        packets = []
        for n in range(4):
            frame = picture(n, 64, 48, "rgb24" if codec == "gif" else pix_fmt).reformat(format=pix_fmt)
            frame.pts, frame.time_base, frame.duration = begin * 100 + n * 10, tick, 10
            packets += stream.encode(frame)
        packets += stream.encode(None)
        last = max(packets, key=lambda packet: packet.pts)
        last.duration = int(seconds / last.time_base)
        for packet in packets:
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "seconds", "bf"),
    [("a.mp4", 5, 0), ("a.mp4", 15, 3), ("a.mov", 5, 3), ("a.mkv", 15, 0), ("a.webm", 5, 0), ("a.gif", 3, 0)],
)
def test_a_last_frame_that_is_held_does_not_make_a_file_cut_off(tmp_path, name, seconds, bf):
    clip = held_at_the_end(tmp_path / name, seconds, bf)
    frames = read(clip)
    assert len(frames) == 4
    assert frames[-1][1] == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_picture_that_begins_late_does_not_make_a_file_cut_off(tmp_path, name):
    assert len(read(held_at_the_end(tmp_path / name, 0.1, 0, begin=5))) == 4
    sound = ("-f", "lavfi", "-i", "sine=d=9", "-c:v", "copy", "-c:a", "libopus", "-map", 0, "-map", 1)
    ffmpeg("-i", tmp_path / name, *sound, "-copyts", tmp_path / f"sound_{name}")
    assert len(read(tmp_path / f"sound_{name}")) == 4


def damaged(path, *numbers):
    """Overwrite packets of the picture with noise."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        places = [(packets[number].pos, packets[number].size) for number in numbers]
    data = bytearray(path.read_bytes())
    for place, size in places:
        data[place : place + size] = np.random.default_rng(0).bytes(size)
    path.write_bytes(data)


@pytest.mark.parametrize(("bf", "number"), [(0, -1), (2, -1), (2, -2)])
def test_damage_at_the_end_costs_one_frame_and_not_those_in_other_threads(tmp_path, bf, number):
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=2", "-c:v", "libx264", "-bf", bf, tmp_path / "a.mp4"
    )
    whole = [pts for pts, *_ in read(tmp_path / "a.mp4")]
    damaged(tmp_path / "a.mp4", number)
    with VideoReader(tmp_path / "a.mp4") as reader:
        times = [frame.pts for frame in reader]
    assert len(times) == 49
    assert set(times) < set(whole)
    assert reader.warnings == [f"{tmp_path / 'a.mp4'}: is damaged (packets: 1, broken pictures: 0)"]


def test_the_end_of_a_part_is_no_damage(tmp_path):
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=4", "-c:v", "libx264", "-bf", 3, tmp_path / "a.mp4"
    )
    with VideoReader(tmp_path / "a.mp4", start=Fraction(1), end=Fraction(2)) as reader:
        assert len(list(reader)) == 25
    assert reader.warnings == []


def test_damage_in_a_part_is_said_also_if_nobody_reads_on(tmp_path):
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=4", "-c:v", "libx264", "-bf", 0, tmp_path / "a.mp4"
    )
    damaged(tmp_path / "a.mp4", 10)
    with VideoReader(tmp_path / "a.mp4") as reader:
        for _ in zip(reader, range(40), strict=False):
            pass
    assert [line for line in reader.warnings if "is damaged" in line]


@pytest.mark.parametrize(
    ("name", "codec", "broken"),
    [
        ("a.mp4", "libx264 -bf 2 -g 30", 0),
        ("a.mp4", "libx265 -g 30 -x265-params log-level=none", 1),
        ("a.mp4", "libvpx-vp9 -g 30", 0),
        ("a.mov", "prores", 0),
    ],
)
def test_one_packet_that_cannot_be_decoded_does_not_end_the_film(tmp_path, name, codec, broken):
    source = ("-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=4")
    ffmpeg(*source, "-c:v", *codec.split(), tmp_path / name)
    damaged(tmp_path / name, 40)
    with VideoReader(tmp_path / name) as reader:
        frames = list(reader)
    assert len(frames) == 99
    assert abs(frames[-1].pts - Fraction(99, 25)) < Fraction(1, 1000)
    (line,) = reader.warnings
    found = re.fullmatch(
        rf"{re.escape(str(tmp_path / name))}: is damaged \(packets: 1, broken pictures: (\d+)\)", line
    )
    assert (int(found[1]) > 0) == bool(broken)


def test_where_nothing_can_be_decoded_any_more_the_frames_before_come_first(tmp_path):
    source = ("-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=4")
    ffmpeg(*source, "-c:v", "prores", tmp_path / "a.mov")
    damaged(tmp_path / "a.mov", *range(40, 100))
    with VideoReader(tmp_path / "a.mov") as reader:
        frames = iter(reader)
        got = [next(frames).pts for _ in range(40)]
        with pytest.raises(MediaError, match="stopped after frame 40"):
            next(frames)
    assert got == [Fraction(n, 25) for n in range(40)]


def test_a_window_in_the_last_held_frame_shows_it(tmp_path):
    clip = held_at_the_end(tmp_path / "a.mp4", 5, bf=0)
    ((pts, duration, shown),) = read(clip, start=Fraction(3))
    assert (pts, duration, shown) == (3, Fraction(23, 10), read(clip)[-1][2])
    assert read(clip, start=Fraction(6)) == []


@pytest.mark.parametrize("codec", ["libx264 -bf 2 -g 25", "libx265 -g 25 -x265-params log-level=none"])
def test_a_beginning_that_cannot_be_decoded_is_named(tmp_path, codec):
    source = ("-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=3")
    clip = tmp_path / "a.mp4"
    ffmpeg(*source, "-c:v", *codec.split(), clip)
    with VideoReader(clip) as reader:
        list(reader)
    assert reader.warnings == []
    damaged(clip, 0)
    with VideoReader(clip) as reader:
        frames = list(reader)
    assert len(frames) < 75
    assert any("its first 1.000 s cannot be decoded" in line for line in reader.warnings)
