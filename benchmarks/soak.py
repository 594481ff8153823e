"""Interpolate a long video of small frames: do memory, threads and open files grow, and do times drift?

python -m benchmarks.soak [--minutes 30] [--mask static-s]
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import maskvfi

RATE, SIZE = 25, "96x64"
SAMPLES = 10


def main(
    minutes: Annotated[float, typer.Option(help="How long the video is.")] = 30,
    mask: Annotated[str, typer.Option(help="Mask weights, or off.")] = "static-s",
) -> None:
    """Print memory, threads and open files at every tenth of the run, and how far the ends are from the source."""
    frames = round(minutes * 60 * RATE)
    samples: list[tuple[int, float, int, int]] = []
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as bar:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        video = ["-f", "lavfi", "-i", f"testsrc2=size={SIZE}:rate={RATE}:duration={frames / RATE}"]
        sound = ["-f", "lavfi", "-i", f"sine=duration={frames / RATE}"]
        encoders = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
        subprocess.run(["ffmpeg", "-v", "error", *video, *sound, *encoders, source], check=True)
        task = bar.add_task("interpolating", total=frames)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done)
            if done % (frames // SAMPLES) == 0:
                samples.append(
                    (done, _resident(), threading.active_count(), len(os.listdir("/proc/self/fd")))
                )

        chosen = None if mask == "off" else mask
        report = maskvfi.interpolate(
            source, target, vfi="blend", mask=chosen, device="cpu", progress=progress
        )
        ends = [_ends(path) for path in (source, target)]
    table = Table(
        "frames read", "memory MiB", "threads", "open files", title=f"{minutes:g} minutes of {SIZE}"
    )
    for done, memory, threads, files in samples:
        table.add_row(str(done), f"{memory:.0f}", str(threads), str(files))
    Console().print(table)
    for name, before, after in zip(("picture", "sound"), *ends, strict=True):
        print(f"{name} ends {float(after - before) * 1000:+.3f} ms from the source's")
    print(f"{report.frames_in} frames became {report.frames_out} in {report.seconds['total']:.0f} s")


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _ends(path: Path) -> list[Fraction]:
    """When the last packets of picture and sound end, in seconds."""
    last = [Fraction(0), Fraction(0)]
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.stream.index < 2:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                last[packet.stream.index] = max(last[packet.stream.index], end)
    return last


if __name__ == "__main__":
    typer.run(main)
