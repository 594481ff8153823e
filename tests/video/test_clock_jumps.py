"""Joined recordings: their clock jumps, and the picture and the sound go on together."""

import itertools
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import copy, make_clip, packets, pitch, read, sound_of

from maskvfi.video import VideoReader

RATE = 25


def recording(path: Path, tone: int, *options: str, seconds: float = 1) -> Path:
    """A test pattern with a tone, of `seconds`."""
    picture, sound = f"testsrc2=s=64x48:r={RATE}:d={seconds}", f"sine={tone}:r=48000:d={seconds}"
    codecs = ("-c:a", "aac") if path.suffix == ".ts" else ("-c:v", "mpeg2video", "-c:a", "mp2")
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *codecs, "-bf", "2", *options, path], check=True)
    return path


def joined(folder: Path, suffix: str, *parts: Path) -> Path:
    whole = folder / f"joined{suffix}"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def steps(path: Path, **window: Fraction) -> set[float]:
    times = [float(pts) for pts, _, _ in read(path, **window)]
    return {round(b - a, 3) for a, b in itertools.pairwise(times)}


@pytest.mark.parametrize("suffix", [".ts", ".vob", ".mpg"])
def test_a_clock_that_starts_again_goes_on(tmp_path, suffix):
    whole = joined(
        tmp_path, suffix, *(recording(tmp_path / f"{n}{suffix}", 440 * n, "-g", "25") for n in (1, 2, 3))
    )
    with VideoReader(whole) as reader:
        frames = [*reader]
    assert steps(whole) == {1 / RATE}
    assert len(frames) >= 3 * RATE
    assert [line for line in reader.warnings if "its clock jumps at 1.0" in line] == reader.warnings


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["ahead", "back"])
def test_a_leap_goes_on_too(tmp_path, order):
    parts = (
        recording(tmp_path / "a.ts", 440),
        recording(tmp_path / "b.ts", 880, "-output_ts_offset", "100"),
    )
    assert steps(joined(tmp_path, ".ts", *(parts[k] for k in order))) == {1 / RATE}


@pytest.mark.parametrize(("suffix", "later"), [(".mkv", 0), (".mkv", 100), (".mp4", 0), (".ts", 0)])
def test_sound_goes_on_with_the_picture(tmp_path, suffix, later):
    first = recording(tmp_path / "440.ts", 440, seconds=2)
    second = recording(tmp_path / "880.ts", 880, "-output_ts_offset", str(later), seconds=2)
    whole = joined(tmp_path, ".ts", first, second)
    target = tmp_path / f"out{suffix}"
    copy(whole, target, options={"preset": "ultrafast"})
    assert steps(target) == {1 / RATE}
    sound = sound_of(target)
    assert abs(len(sound) / 48000 - 4) < 0.1
    first, second = sound[24000:72000], sound[120000:168000]
    assert [round(pitch(part) / 440) for part in (first, second)] == [1, 2]
    changed = np.argmax([pitch(sound[at : at + 4800]) > 600 for at in range(0, len(sound) - 4800, 480)]) * 480
    assert abs(changed / 48000 - 2) < 0.1


def test_the_sound_of_a_window_after_the_jump_is_the_second_recording_s(tmp_path):
    whole = joined(
        tmp_path, ".ts", *(recording(tmp_path / f"{tone}.ts", tone, seconds=3) for tone in (440, 880))
    )
    window = {"start": Fraction(4), "end": Fraction(5)}
    copy(whole, tmp_path / "out.mkv", options={"preset": "ultrafast"}, **window)
    assert len(read(tmp_path / "out.mkv")) == RATE
    assert [frame[2] for frame in read(whole, **window)] == [frame[2] for frame in read(whole)][100:125]
    assert round(pitch(sound_of(tmp_path / "out.mkv")[4800:]) / 440) == 2


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_long_gap_of_a_variable_rate_is_no_jump(tmp_path, suffix):
    source = make_clip(tmp_path / f"a{suffix}", times=(0, 40, 80, 30080, 30120), time_base=Fraction(1, 1000))
    assert [pts for pts, _, _ in read(source)][3] == Fraction(3008, 100)


def test_a_long_gap_of_the_picture_alone_is_no_jump(tmp_path):
    source = tmp_path / "gap.ts"
    picture = "testsrc2=s=64x48:r=25:d=1,setpts=PTS+gte(N\\,12)*15/TB"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=440:d=16")
    subprocess.run(
        ["ffmpeg", "-v", "error", *inputs, "-fps_mode", "passthrough", "-c:a", "aac", source], check=True
    )
    times = [pts for pts, _, _ in read(source)]
    assert round(max(b - a for a, b in itertools.pairwise(times))) == 15


IDS = {"audio": 0xC0, "video": 0xE0}


def damaged(path: Path, kind: str, at: float, by: float) -> Path:
    """The recording, in which one packet after `at` seconds says `by` seconds more than its times."""
    stored = bytearray(path.read_bytes())
    for start in range(0, len(stored), 188):
        pes = start + 4 + (stored[start + 4] + 1 if stored[start + 3] & 0x20 else 0)
        if stored[start + 1] & 0x40 and stored[pes : pes + 4] == bytes((0, 0, 1, IDS[kind])):
            times = [pes + 9, pes + 14] if stored[pes + 7] & 0x40 else [pes + 9]
            if _stamp(stored[pes + 9 : pes + 14]) >= (1.4 + at) * 90000:
                for place in times:
                    stamp = _stamp(stored[place : place + 5]) + int(by * 90000)
                    stored[place : place + 5] = _stamped(stored[place] & 0xF0, stamp % (1 << 33))
                path.write_bytes(stored)
                return path
    raise AssertionError("no such packet")


def _stamp(stored: bytearray) -> int:
    """A time of an MPEG stream, 33 bits in five bytes (ISO/IEC 13818-1, 2.4.3.6)."""
    a, b, c, d, e = stored
    return (a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1


def _stamped(lead: int, stamp: int) -> bytes:
    parts = (lead | stamp >> 29 & 14 | 1, stamp >> 22, stamp >> 14 | 1, stamp >> 7, stamp << 1 | 1)
    return bytes(part & 255 for part in parts)


@pytest.mark.parametrize("by", [3600, 5, -0.9, -3600])
@pytest.mark.parametrize(
    ("kind", "at"), [("audio", 1), ("audio", 2.5), ("video", 1)], ids=["sound", "last sound", "picture"]
)
def test_a_damaged_time_moves_nothing(tmp_path, kind, at, by):
    whole = damaged(recording(tmp_path / "a.ts", 440, seconds=3), kind, at, by)
    with VideoReader(whole) as reader:
        assert len([*reader]) == 3 * RATE
    assert reader.warnings == []
    target = tmp_path / "out.mkv"
    copy(whole, target, options={"preset": "ultrafast"})
    assert steps(target) == {1 / RATE}
    times = [float(time) for time, _ in packets(target, "audio")]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.1
    assert abs(times[-1] - 3) < 0.1
    assert abs(len(sound_of(target)) / 48000 - 3) < 0.1


def test_sound_that_pauses_is_no_jump(tmp_path):
    source = tmp_path / "pause.ts"
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=20", "-f", "lavfi", "-i", "sine=440:d=5")
    late = "[1]asetpts=PTS+gte(T\\,2)*13/TB"
    command = [
        "ffmpeg",
        "-v",
        "error",
        *inputs,
        "-filter_complex",
        late,
        "-map",
        "0:v",
        "-c:a",
        "aac",
        source,
    ]
    subprocess.run(command, check=True)
    copy(source, tmp_path / "out.mkv", options={"preset": "ultrafast"})
    times = [float(time) for time, _ in packets(tmp_path / "out.mkv", "audio")]
    assert round(max(b - a for a, b in itertools.pairwise(times))) == 13
