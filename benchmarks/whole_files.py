"""Time whole files, as a person runs the command, beside ffmpeg's minterpolate: the table of docs/speed.md.

python -m benchmarks.whole_files CLIP... [--seconds 1] [--size 1280x720] [--times 3] [--options "--vfi vfi-s"]
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, median_low
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

MASKVFI = [sys.executable, "-m", "maskvfi.cli", "interpolate"]
STAGES = {"mask": "mask", "network": "network", "fuse": "composition", "convert": "conversion"}


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos; their first second is cut and scaled.")],
    seconds: Annotated[float, typer.Option(help="How much of each is used.")] = 1.0,
    size: Annotated[str, typer.Option(help="Width and height in px.")] = "1280x720",
    times: Annotated[int, typer.Option(help="Runs of each command; the median counts.")] = 3,
    options: Annotated[str, typer.Option(help="Options of maskvfi interpolate, in one string.")] = "",
) -> None:
    """Print wall seconds of both commands from start to end, where ours go, and when our first new frame is there.

    The runs alternate.
    """
    if shutil.which("ffmpeg") is None:
        raise SystemExit("ffmpeg is needed")
    table = Table(
        "clip",
        "still",
        "computed",
        "minterpolate s",
        "maskvfi s",
        "maskvfi / minterpolate",
        *STAGES.values(),
        "rest",
        "first frame",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip in clips:
            source = _cut(clip, folder / "source.mp4", seconds, size)
            _ours(source, folder, options)  # fills the caches
            theirs, ours, reports, first = [], [], [], []
            for _ in range(times):
                theirs.append(_theirs(source, folder))
                wall, report = _ours(source, folder, options)
                ours.append(wall)
                reports.append(report)
                first.append(_first(source, size, options))
            cells = _cells(median(theirs), median(ours), reports[ours.index(median_low(ours))])
            table.add_row(clip.name, *cells, f"{median(first):.2f}")
    Console(width=150).print(table)


def _cut(clip: Path, target: Path, seconds: float, size: str) -> Path:
    scale = f"scale={size.replace('x', ':')},format=yuv420p"
    command = ["-i", str(clip), "-t", str(seconds), "-vf", scale, "-an", "-c:v", "libx264", "-crf", "12"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *command, str(target)], check=True)
    return target


def _theirs(source: Path, folder: Path) -> float:
    """Seconds of ffmpeg, which doubles the frame rate by minterpolate and encodes by libx264."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=r_frame_rate"]
    found = subprocess.run(
        [*probe, "-of", "csv=p=0", str(source)], check=True, capture_output=True, text=True
    )
    rate = f"minterpolate=fps=2*({found.stdout.strip()})"
    return _timed(["ffmpeg", "-v", "error", "-y", "-i", str(source), "-vf", rate, str(folder / "theirs.mp4")])


def _ours(source: Path, folder: Path, options: str) -> tuple[float, dict[str, float]]:
    """Seconds of maskvfi, which encodes by libx264 too, and what its report says."""
    report = folder / "report.json"
    target = [str(source), str(folder / "ours.mp4"), "--overwrite", "--report", str(report)]
    wall = _timed([*MASKVFI, *target, *options.split()])
    return wall, json.loads(report.read_text())


def _first(source: Path, size: str, options: str) -> float:
    """Seconds from the start of maskvfi until its first new frame has come out of a pipe."""
    width, height = map(int, size.split("x"))
    command = [*MASKVFI, str(source), "-", *options.split()]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        for _ in range(2):  # a source frame and the new one, each after a line that begins with FRAME
            while not running.stdout.readline().startswith(b"FRAME"):
                if running.poll() is not None:
                    raise SystemExit("maskvfi ended before its first new frame")
            running.stdout.read(width * height * 3 // 2)
        found = time.perf_counter() - began
        running.kill()
    return found


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _cells(theirs: float, ours: float, report: dict) -> list[str]:
    stages = [report["seconds"].get(stage, 0.0) for stage in STAGES]
    shares = (f"{100 * report[name]:.0f} %" for name in ("static_share", "computed_share"))
    rest = ours - sum(stages)
    return [*shares, *(f"{x:.2f}" for x in (theirs, ours, ours / theirs, *stages, rest))]


if __name__ == "__main__":
    typer.run(main)
