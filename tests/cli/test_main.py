"""The command line as a person uses it: a real process, its exit code and what it prints."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from clips import make_clip
from commands import run
from typer.testing import CliRunner

import maskvfi
from maskvfi.batch.results import Row
from maskvfi.cli.main import _say_rows, app
from maskvfi.errors import MediaError, OptionError
from maskvfi.pipeline.preview import neighbours
from maskvfi.tools.demo import render_clip
from maskvfi.video import open_source

TORCH = ("--runtime", "torch")


def fails(*arguments: object) -> str:
    """The single line that a failing command prints."""
    done = run(*arguments)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 2, lines
    assert len(lines) == 1, lines
    assert not done.stdout
    return lines[0]


def frames_in(path: Path) -> int:
    with open_source(path) as reader:
        return sum(1 for _ in reader)


def test_interpolate_says_in_a_line_what_it_did(tmp_path):
    source = make_clip(tmp_path / "my clip ü.mp4", times=4)
    done = run("interpolate", source, "--factor", 2, "--crf", 23, "--device", "cpu", *TORCH)
    assert done.returncode == 0, done.stderr
    assert "4 frames became 7" in done.stderr.decode()
    assert frames_in(tmp_path / "my clip ü_2x.mp4") == 7


def test_pipes_carry_y4m_in_and_out(tmp_path):
    source = make_clip(tmp_path / "in.mkv", times=3, codec="ffv1", options={})
    with open_source(source) as reader, av.open(str(tmp_path / "in.y4m"), "w", format="yuv4mpegpipe") as out:
        stream = out.add_stream("wrapped_avframe", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n, frame in enumerate(reader):
            frame.native.pts, frame.native.time_base = n, Fraction(1, 25)
            out.mux(stream.encode(frame.native))
    done = run(
        "interpolate", "-", "-", "--device", "cpu", "--vfi", "blend", stdin=(tmp_path / "in.y4m").read_bytes()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"YUV4MPEG2")
    assert done.stdout.count(b"FRAME") == 5


def test_mask_and_compare_make_videos_and_pictures(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    for arguments, size in (
        (("mask", source, tmp_path / "mask.mp4"), (64, 48)),
        (("mask", source, tmp_path / "over.mp4", "--overlay"), (64, 48)),
        (("compare", source, tmp_path / "both.mp4", *TORCH), (64, 96)),
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        with open_source(arguments[2]) as reader:
            assert (reader.info.width, reader.info.height) == size
    assert (frames_in(tmp_path / "mask.mp4"), frames_in(tmp_path / "both.mp4")) == (3, 5)
    assert run("compare", source, tmp_path / "both.png", "--at", 0.02, *TORCH).returncode == 0
    assert cv2.imread(str(tmp_path / "both.png")).shape == (96, 64, 3)


def test_neighbours_are_the_frame_shown_then_and_the_next(tmp_path):
    source = make_clip(tmp_path / "in.mkv", times=[0, 1, 2, 3, 60, 61, 62, 63], codec="ffv1", options={})
    found = [
        neighbours(source, at) for at in (0.0, 0.05, 0.09, 1.5, 2.41, 2.45, 2.49)
    ]  # a moment in every gap
    for earlier, later in pairwise(found):
        assert torch.equal(earlier[1], later[0])
        assert not torch.equal(*later)
    assert torch.equal(neighbours(source, 9.0)[1], found[-1][1])
    make_clip(tmp_path / "one.mp4", times=1)
    with pytest.raises(MediaError, match="fewer than two frames"):
        neighbours(tmp_path / "one.mp4", 0.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pair_makes_pictures_of_the_same_depth(tmp_path, dtype):
    rng = np.random.default_rng(0)
    pictures = [tmp_path / f"{name}.png" for name in "ab"]
    for path in pictures:
        cv2.imwrite(str(path), rng.integers(0, 200, (40, 50, 3)).astype(dtype))
    assert run("pair", *pictures, tmp_path / "m.png", *TORCH).returncode == 0
    assert cv2.imread(str(tmp_path / "m.png"), cv2.IMREAD_UNCHANGED).dtype == dtype
    done = run("pair", *pictures, tmp_path / "s.png", "--at", 0.25, "--at", 0.75, *TORCH)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("s_*.png")} == {"s_0.25.png", "s_0.75.png"}
    assert "exists" in fails("pair", *pictures, tmp_path / "m.png")


def test_the_version_is_said():
    done = run("--version")
    assert (done.returncode, done.stdout.decode().split()) == (0, ["maskvfi", maskvfi.__version__])


def test_doctor_and_weights_say_what_there_is():
    doctor = run("doctor")
    assert doctor.returncode == 0, doctor.stderr
    assert b"static-s" in doctor.stdout
    listed = run("weights", "list").stdout.decode()
    assert "vfi-m" in listed
    assert "static-s" in listed
    assert "sha256" in run("weights", "info", "vfi-m").stdout.decode()
    assert "unknown weights 'nope'" in fails("weights", "info", "nope")


def test_damaged_weights_are_listed_without_a_count(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKVFI_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "cut.safetensors").write_bytes(b"nothing")
    (tmp_path / "rife-0.pkl").write_bytes(b"nothing")
    done = run("weights", "list")
    assert done.returncode == 0, done.stderr
    listed = [line.split() for line in done.stdout.decode().splitlines()]
    for path in ("cut.safetensors", "rife-0.pkl"):
        assert [path.rpartition(".")[0], "unreadable", str(tmp_path / path)] in listed


def test_bad_files_end_in_one_line(tmp_path):
    good = make_clip(tmp_path / "good.mp4", times=8)
    garbage, cut, empty = tmp_path / "garbage.mp4", tmp_path / "cut.mp4", tmp_path / "empty.mkv"
    garbage.write_bytes(np.random.default_rng(0).bytes(5000))
    cut.write_bytes(good.read_bytes()[:600])
    empty.write_bytes(b"")
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        out.mux(stream.encode(silence))
    before = sorted(path.name for path in tmp_path.iterdir())
    for source, why in (
        (tmp_path / "missing.mp4", "no such file"),
        (garbage, "garbage.mp4"),
        (cut, "cut.mp4"),
        (empty, "empty.mkv"),
        (sound, "no video"),
    ):
        assert why in fails("interpolate", source, tmp_path / "out.mp4", "--device", "cpu")
    assert "warble" in fails(
        "interpolate", good, tmp_path / "out.mp4", "--codec", "warble", "--device", "cpu"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set by Linux's own count")
def test_too_little_memory_ends_in_one_line(tmp_path):
    """The process may take 200 MiB more than it has once it is loaded: less than a frame of these needs.

    Whether the decoder, the network or its smallest tile is the first to fail depends on the machine.
    """
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    rng = np.random.default_rng(0)
    for picture in pictures:
        cv2.imwrite(str(picture), rng.integers(0, 256, (1080, 1920, 3), np.uint8))
    arguments = ["maskvfi", "pair", *map(str, pictures), str(tmp_path / "out.png"), "--device", "cpu", *TORCH]
    start = (
        "import resource, sys, maskvfi.pipeline.run; from maskvfi.cli.main import main;"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), -1));"
        f"sys.argv = {arguments!r}; main()"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr[-2000:]
    assert re.match("maskvfi: (this machine|.*a.png: cpu) has too little memory", done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


def test_a_wrong_option_ends_with_exit_code_2(tmp_path):
    for words, said in (
        (["interpolate", "x.mp4", "--crf", "many"], "Invalid value for '--crf'"),
        (["interpolate"], "Missing argument 'IN'"),
        (["interpolate", "x.mp4", "--nope"], "No such option: --nope"),
        (["warp"], "No such command 'warp'"),
    ):
        line = fails(*words)
        assert line.startswith("maskvfi: ")
        assert said in line
        assert "--help)" in line


def test_a_command_without_words_is_its_help():
    for words in ([], ["weights"]):
        done = run(*words)
        assert b"Usage: " in done.stdout + done.stderr


def test_the_page_says_what_it_needs():
    without = (
        "import sys; from maskvfi.cli.main import main\n"
        "sys.modules['gradio'] = None; sys.argv[1:] = ['ui']; main()"
    )
    done = run(code=without)
    assert done.returncode == 2
    assert done.stderr.decode() == "maskvfi: the page needs gradio: pip install 'gradio>=6'\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_an_interrupt_stops_cleanly_and_leaves_nothing(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=120, size=(640, 360))
    command = [
        sys.executable,
        "-m",
        "maskvfi.cli",
        "interpolate",
        str(source),
        str(tmp_path / "out.mp4"),
        "--device",
        "cpu",
        *TORCH,
    ]

    def heed() -> None:  # whoever runs the tests in the background has made them deaf to it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob(".out*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert list(tmp_path.glob(".out*"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert (process.returncode, said.decode()) == (130, "maskvfi: stopped; nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_bench_measures_every_part_and_writes_json(tmp_path, monkeypatch):
    monkeypatch.setattr("maskvfi.tools.bench.render_clip", lambda path, _: render_clip(path, frames=3))
    target = tmp_path / "bench.json"
    done = CliRunner().invoke(
        app, ["bench", "--vfi", "vfi-s", "--size", "96x64", "--repeats", "1", "--json", str(target), *TORCH]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(target.read_text())
    assert found["sizes"][0]["difference"] < 1e-3
    assert all(found["sizes"][0][part] > 0 for part in ("plain", "network", "mask", "fuse"))
    assert [point["share"] for point in found["still"]][-1] == 1.0
    assert found["still"][-1]["computed"] == 0
    assert b"WIDTHxHEIGHT" in run("bench", "--size", "huge").stderr


def test_bench_refuses_a_file_that_exists_before_it_measures(tmp_path, monkeypatch):
    def measure(*_: object) -> None:
        raise AssertionError("it measured")

    monkeypatch.setattr("maskvfi.tools.bench.run_bench", measure)
    (tmp_path / "bench.json").write_text("mine")
    done = CliRunner().invoke(app, ["bench", "--json", str(tmp_path / "bench.json")])
    assert isinstance(done.exception, MediaError)
    assert "bench.json: exists already" in str(done.exception)


def test_a_shell_can_complete_the_commands():
    environment = {
        **os.environ,
        "_MASKVFI_COMPLETE": "complete_bash",
        "COMP_WORDS": "maskvfi inter",
        "COMP_CWORD": "1",
    }
    start = "from maskvfi.cli.main import app; app(prog_name='maskvfi')"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["interpolate"]


def test_the_words_of_a_header_are_shown_as_they_are(tmp_path):
    maskvfi.save_weights(
        tmp_path / "a.safetensors", maskvfi.load_static("static-s"), licence="see [/x] [red]"
    )
    shown = CliRunner().invoke(app, ["weights", "info", str(tmp_path / "a.safetensors")])
    assert shown.exit_code == 0, shown.output
    assert "see [/x] [red]" in shown.output


def test_a_demo_replaces_nothing_unasked(tmp_path):
    (tmp_path / "difference.png").write_text("mine")
    said = CliRunner().invoke(app, ["demo", str(tmp_path), "--device", "cpu"])
    assert isinstance(said.exception, MediaError)
    assert "difference.png: exists already" in str(said.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["difference.png"]


def test_a_demo_that_fails_leaves_nothing(tmp_path, monkeypatch):
    said = CliRunner().invoke(app, ["demo", str(tmp_path / "a"), "--device", "cuda:9"])
    assert isinstance(said.exception, OptionError)
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    said = CliRunner().invoke(app, ["demo", str(tmp_path / "file"), "--device", "cpu"])
    assert isinstance(said.exception, MediaError)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("maskvfi.tools.demo.interpolate", stop)
    said = CliRunner().invoke(app, ["demo", str(tmp_path / "b"), "--device", "cpu"])
    assert said.exit_code == 130
    assert list((tmp_path / "b").iterdir()) == []


def test_a_page_whose_address_is_taken_says_so(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = CliRunner().invoke(app, ["ui", "--port", str(port)])
    assert str(said.exception) == f"the page cannot listen at 127.0.0.1, port {port} (address already in use)"


def test_bench_has_frames_of_its_own_which_no_painted_mask_fits():
    done = CliRunner().invoke(app, ["bench", "--protect", "hud.png"])
    assert "painted masks do not fit them" in str(done.exception)


def test_a_video_that_failed_is_named(capsys):
    rows = [
        Row("a.mkv", "out/a.mkv", "failed", "hud.png: is 8x8"),
        Row("b.mkv", "out/b.mkv", "failed", "b.mkv: is cut"),
    ]
    _say_rows(rows, 1)
    said = capsys.readouterr().err.split("\n")
    assert said[:2] == ["failed: a.mkv: hud.png: is 8x8", "failed: b.mkv: is cut"]
