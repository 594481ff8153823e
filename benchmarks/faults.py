"""Interrupt real runs: kill them, press Ctrl-C, fill the disk, fail reads, close the pipe they write to.

python -m benchmarks.faults [--times 20] [--seed 0]    (disk full: as root; read errors: with strace)
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

FRAMES = 1000
OPTIONS = ["--codec", "ffv1", "--vfi", "blend", "--mask", "off", "--device", "cpu", "--scene-cut", "off"]
ENDS = ("resumed", "in part", "refused", "not resumed", "crashed", "half file", "lost frames")
Rng = np.random.Generator
Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class Setup:
    """A folder with a clip, and what an uninterrupted run makes of it.

    Attributes:
        folder, source: The folder and the clip in it.
        frames: The decoded output frames.
        seconds: How long the run works.
        size: The size of the output in bytes.
    """

    folder: Path
    source: Path
    frames: list[bytes]
    seconds: float
    size: int

    @property
    def target(self) -> Path:
        return self.folder / "out.mkv"


def main(
    times: Annotated[int, typer.Option(help="How often each accident happens.")] = 20,
    seed: Annotated[int, typer.Option(help="Equal seeds choose equal moments.")] = 0,
) -> None:
    """Count how runs end after each kind of accident; exit code 1 if any ends badly."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have made its children ignore it
    accidents: dict[str, Callable[[Setup, Rng], str]] = {
        "killed (SIGKILL)": killed,
        "interrupted (Ctrl-C)": interrupted,
        "reader of a pipe gone": pipe_closed,
    }
    if os.geteuid() == 0:
        accidents["disk full (tmpfs)"] = disk_full
    if shutil.which("strace"):
        accidents["read error (EIO)"] = read_error
    ends: dict[str, Counter[str]] = {name: Counter() for name in accidents}
    with tempfile.TemporaryDirectory() as folder:
        setup = prepare(Path(folder))
        console = Console(stderr=True)
        for number in track(range(times * len(accidents)), "accidents", console=console):
            name = list(accidents)[number % len(accidents)]
            end = accidents[name](setup, np.random.default_rng((seed, number)))
            ends[name][end] += 1
            for left in setup.folder.iterdir():
                if left != setup.source:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
    table = Table("accident", "cases", *ENDS)
    for name, counts in ends.items():
        table.add_row(name, str(times), *(str(counts[end]) for end in ENDS))
    Console(width=120).print(table)
    if any(counts[end] for counts in ends.values() for end in ENDS[-3:]):
        raise typer.Exit(1)


def prepare(folder: Path) -> Setup:
    """Make a clip and interpolate it without an accident."""
    source = folder / "in.mkv"
    video = ["-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=25:duration={FRAMES / 25}"]
    subprocess.run(["ffmpeg", "-v", "error", *video, "-c:v", "ffv1", source], check=True)
    running = start(source, folder / "whole.mkv")
    wait_for_work(running, folder / "whole.mkv")
    began = time.perf_counter()
    _, errors = running.communicate()
    seconds = time.perf_counter() - began
    if running.returncode:
        raise SystemExit(errors)
    frames, size = decoded(folder / "whole.mkv"), (folder / "whole.mkv").stat().st_size
    (folder / "whole.mkv").unlink()
    return Setup(folder, source, frames, seconds, size)


def killed(setup: Setup, rng: Rng) -> str:
    """Kill a run at a random moment, then resume it."""
    running = start(setup.source, setup.target)
    wait_for_work(running, setup.target)
    time.sleep(rng.uniform(0, 0.95) * setup.seconds)
    running.kill()
    running.communicate()
    return judged_after_resume(setup)


def interrupted(setup: Setup, rng: Rng) -> str:
    """Send Ctrl-C to a run at a random moment, then resume it."""
    running = start(setup.source, setup.target)
    wait_for_work(running, setup.target)
    time.sleep(rng.uniform(0, 0.95) * setup.seconds)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate()
    ends = (0, 130, -signal.SIGINT)  # the last: the work was done, and Python was shutting down
    if running.returncode not in ends or "Traceback" in errors:
        return "crashed"
    return judged_after_resume(setup)


def pipe_closed(setup: Setup, rng: Rng) -> str:
    """Write to a pipe whose reader goes away at a random moment."""
    running = start(setup.source, "-", binary=True)
    assert running.stdout is not None
    running.stdout.read(int(rng.integers(1, FRAMES * 64 * 48)))
    running.stdout.close()
    assert running.stderr is not None
    errors = running.stderr.read().decode()  # type: ignore[attr-defined]
    running.wait()
    return "crashed" if "Traceback" in errors or running.returncode != 2 else "refused"


def disk_full(setup: Setup, rng: Rng) -> str:
    """Write to a disk that is too small, make it larger, then resume."""
    disk = setup.folder / "disk"
    disk.mkdir()
    size = int(rng.uniform(0.1, 1.7) * setup.size)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        done = run(setup.source, disk / "out.mkv")
        if done.returncode == 0:
            return judged(setup, disk / "out.mkv", done)
        if done.returncode != 2 or "Traceback" in done.stderr or len(done.stderr.strip().splitlines()) != 1:
            return "crashed"
        if (disk / "out.mkv").exists():
            return "half file"
        subprocess.run(["mount", "-o", f"remount,size={4 * setup.size}", disk], check=True)
        return judged(setup, disk / "out.mkv", run(setup.source, disk / "out.mkv", "--resume"))
    finally:
        subprocess.run(["umount", disk], check=True)


def read_error(setup: Setup, rng: Rng) -> str:
    """Let reads of the source fail from a random one on."""
    reads = setup.source.stat().st_size // 32768
    when = f"read:error=EIO:when={int(rng.integers(2, max(reads, 3) + 4))}+"
    tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(setup.source), "-e", f"inject={when}"]
    done = run(setup.source, setup.target, before=tracer)
    if "Traceback" in done.stderr or done.returncode not in (0, 2, 3):
        return "crashed"
    if done.returncode == 2:
        return "half file" if setup.target.exists() else "refused"
    found = decoded(setup.target)
    if found != setup.frames[: len(found)]:
        return "lost frames"
    return (
        "in part"
        if done.returncode == 3
        else "not resumed"
        if len(found) == len(setup.frames)
        else "lost frames"
    )


def judged_after_resume(setup: Setup) -> str:
    if setup.target.exists():
        return "not resumed" if decoded(setup.target) == setup.frames else "half file"
    return judged(setup, setup.target, run(setup.source, setup.target, "--resume"))


def judged(setup: Setup, target: Path, done: Result) -> str:
    if done.returncode or "Traceback" in done.stderr:
        return "crashed"
    if decoded(target) != setup.frames:
        return "lost frames"
    if any(path.name.startswith(".") for path in target.parent.iterdir()):
        return "half file"
    return "resumed" if "resumed after" in done.stderr else "not resumed"


def wait_for_work(running: subprocess.Popen[str], target: Path) -> None:
    """Wait until the output is begun. Before that Python loads torch, and there is nothing to lose."""
    while not target.with_name(f".{target.name}.unfinished").exists() and running.poll() is None:
        time.sleep(0.005)


def command(source: Path, target: Path | str, *more: str) -> list[str]:
    return [sys.executable, "-m", "maskvfi.cli", "interpolate", str(source), str(target), *OPTIONS, *more]


def start(source: Path, target: Path | str, binary: bool = False) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": not binary}
    return subprocess.Popen(command(source, target), **pipes)  # type: ignore[call-overload]


def run(source: Path, target: Path, *more: str, before: list[str] | None = None) -> Result:
    return subprocess.run(
        [*(before or []), *command(source, target, *more)], capture_output=True, text=True, check=False
    )


def decoded(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


if __name__ == "__main__":
    typer.run(main)
