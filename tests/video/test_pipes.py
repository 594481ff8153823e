"""Between two real ffmpeg processes: frames in, frames out, and nothing else on stdout."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from commands import run

from maskvfi.errors import MediaError
from maskvfi.video import open_source

ffmpeg = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(ffmpeg is None, reason="there is no ffmpeg")
BYTES = {"yuv420p": 96 * 64 * 3 // 2, "yuv420p10le": 96 * 64 * 3}
WORDS = ["interpolate", "-", "-", "--device", "cpu", "--vfi", "blend"]
MASKVFI = [sys.executable, "-m", "maskvfi.cli", *WORDS]


def source(pix_fmt: str, count: int = 5) -> list[str]:
    """The command of an ffmpeg that writes yuv4mpeg of 24000/1001 frames a second."""
    picture = "testsrc2=s=96x64:r=24000/1001,setsar=4/3"
    kind = ["-pix_fmt", pix_fmt, "-strict", "-1", "-f", "yuv4mpegpipe", "-"]
    return [str(ffmpeg), "-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", str(count), *kind]


def raw(pix_fmt: str, count: int = 5) -> bytes:
    return subprocess.run(source(pix_fmt, count), stdout=subprocess.PIPE, check=True).stdout


def frames(stream: bytes, size: int) -> list[bytes]:
    """The frames of a yuv4mpeg stream that holds nothing but frames."""
    header, _, rest = stream.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 ")
    assert len(rest) % (6 + size) == 0
    parts = [rest[at : at + 6 + size] for at in range(0, len(rest), 6 + size)]
    assert all(part.startswith(b"FRAME\n") for part in parts)
    return [part[6:] for part in parts]


@pytest.mark.parametrize("pix_fmt", sorted(BYTES))
def test_a_pipeline_of_three_processes_keeps_every_frame(tmp_path, pix_fmt):
    target = tmp_path / "out.mkv"
    sink = [str(ffmpeg), "-v", "error", "-i", "-", "-c:v", "ffv1", str(target)]
    first = subprocess.Popen(source(pix_fmt), stdout=subprocess.PIPE)
    second = subprocess.Popen(
        [*MASKVFI, "--factor", "2"], stdin=first.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    third = subprocess.Popen(sink, stdin=second.stdout)
    for process in (first, second):
        process.stdout.close()
    said = second.stderr.read().decode()
    assert [process.wait(120) for process in (first, second, third)] == [0, 0, 0], said
    assert "5 frames became 9" in said
    back = subprocess.run(
        [str(ffmpeg), "-v", "error", "-i", str(target), "-strict", "-1", "-f", "yuv4mpegpipe", "-"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    made = frames(back, BYTES[pix_fmt])
    assert len(made) == 9
    assert made[::2] == frames(raw(pix_fmt), BYTES[pix_fmt])


@pytest.mark.parametrize("pix_fmt", sorted(BYTES))
def test_stdout_carries_frames_alone_at_the_new_rate(pix_fmt):
    done = run(*WORDS, "--factor", 3, stdin=raw(pix_fmt))
    assert done.returncode == 0, done.stderr
    header = done.stdout.partition(b"\n")[0].decode()
    assert re.search(r"^YUV4MPEG2 W96 H64 F72000:1001 ", header), header
    assert len(frames(done.stdout, BYTES[pix_fmt])) == 13
    assert b"became 13" in done.stderr
    assert b"warning: the pixel aspect ratio 4/3 cannot be written" in done.stderr


def test_a_stream_that_breaks_off_gives_the_frames_that_were_whole():
    stream = raw("yuv420p")
    done = run(*WORDS, stdin=stream[: len(stream) * 7 // 10])
    assert done.returncode == 3, done.stderr
    assert b"<stdin>: is cut off after frame 3" in done.stderr
    assert len(frames(done.stdout, BYTES["yuv420p"])) == 5


@pytest.mark.parametrize("given", [b"", b"no video at all\n" * 100, b"YUV4MPEG2 W96 H64 F24:1 C420jpeg\n"])
def test_what_is_no_video_is_one_line_and_exit_code_2(given):
    done = run(*WORDS, stdin=given)
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert b"a pipe takes yuv4mpeg: ffmpeg -i FILE -f yuv4mpegpipe -" in done.stderr


def test_a_reader_that_goes_away_ends_the_run_without_a_traceback():
    first = subprocess.Popen(source("yuv420p", 200), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    second = subprocess.Popen(MASKVFI, stdin=first.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first.stdout.close()
    assert second.stdout.read(2000).startswith(b"YUV4MPEG2")
    second.stdout.close()
    said = second.stderr.read().decode()
    assert second.wait(120) == 2
    first.wait(120)
    assert len(said.splitlines()) == 1, said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("given", [0, 0.7])
def test_ctrl_c_ends_a_run_whose_pipe_is_silent(given):
    def heed() -> None:  # whoever runs the tests in the background has made them deaf to it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(MASKVFI, **pipes, preexec_fn=heed)
    stream = raw("yuv420p", 40)
    process.stdin.write(stream[: int(len(stream) * given)])
    process.stdin.flush()
    if given:
        assert process.stdout.read(2000).startswith(b"YUV4MPEG2")  # soon it reads on, and there is nothing
        threading.Thread(target=process.stdout.read, daemon=True).start()
        time.sleep(1)
    else:
        process.stdin.write(b"Y")
        process.stdin.flush()
        wait_until_it_reads(process.stdin.fileno())
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert len(process.stderr.read().splitlines()) == 1


def wait_until_it_reads(pipe: int) -> None:
    """Until nothing is left in a pipe."""
    import fcntl
    import termios

    until, left = time.monotonic() + 120, bytes(4)
    while left := fcntl.ioctl(pipe, termios.FIONREAD, left).strip(b"\0"):
        assert time.monotonic() < until
        left = bytes(4)
        time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs")
def test_a_named_pipe_is_refused_since_it_would_be_read_twice(tmp_path):
    os.mkfifo(tmp_path / "in.ts")
    with pytest.raises(MediaError, match="is a pipe, which can be read only once"):
        open_source(tmp_path / "in.ts")


def test_closed_ends_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(MediaError, match="standard input is closed"):
        open_source("-")
