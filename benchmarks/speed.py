"""Print every table of docs/speed.md in one run, and draw its plot.

python -m benchmarks.speed --clips CLIPS --out FOLDER [--train CLIPS]

It takes half an hour on two cores, which should have nothing else to do. The output of every command is kept as a
file in the folder; the same command again continues with the first that has none. With --train and NNCF installed
(`pip install nncf`, `maskvfi weights get rife-4.0`) bfloat16 and int8 are measured too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.begun import check_begun
from maskvfi.paths import written_whole
from maskvfi.runtimes.device import choose_mask_dtype

MASKVFI = [sys.executable, "-m", "maskvfi.cli"]
# One mostly still clip, and one that moves everywhere.
WHOLE = ("sam2_juggle.mp4", "orig_tracks_hdr10_vfr_aac.mp4")
MEMORY = {"1920x1080": 8, "3840x2160": 4, "7680x4320": 3}  # frames by size
RUNTIMES = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"))
console = Console(stderr=True)


def main(
    clips: Annotated[Path, typer.Option(help="A folder of videos, with the two of whole files.")],
    out: Annotated[Path, typer.Option(help="Where the tables go.")],
    train: Annotated[Path | None, typer.Option(help="Other clips, by which int8 is calibrated.")] = None,
) -> None:
    """Run the commands one after another, and print what they printed."""
    if shutil.which("ffmpeg") is None:
        raise SystemExit("ffmpeg is needed")
    if find_spec("openvino") is None:
        raise SystemExit("OpenVINO is needed: pip install '.[openvino]'")
    check_begun(out / "begun.json", clips=str(clips.resolve()), train=train and str(train.resolve()))
    for name, command in _commands(clips, out, train):
        path = out / f"{name}.txt"
        if not path.is_file():
            console.print(f"{name} ...")
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            with written_whole(path) as partial:
                partial.write_text(done.stdout, encoding="utf-8")
        print(f"## {name}\n\n{path.read_text(encoding='utf-8')}")
    print(f"## memory\n\n{_memory(out)}")


def _runtimes() -> list[tuple[str, str]]:
    """Runtimes with number formats; torch has no fast bfloat16 where the processor has none."""
    fast = choose_mask_dtype("auto", torch.device("cpu")) == torch.bfloat16
    return [each for each in RUNTIMES if fast or each != ("torch", "bf16")]


def _commands(clips: Path, out: Path, train: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Every command with the name of its table."""
    bench = [*MASKVFI, "bench", "--repeats", "5"]
    for runtime, precision in _runtimes():
        chosen = ["--runtime", runtime, "--precision", precision]
        yield f"rife 4.25 {runtime} {precision}", [*bench, "--vfi", "4.25", "--size", "1280x720", *chosen]
    sizes = [*MASKVFI, "bench", "--vfi", "4.25"]
    figures = os.fspath(out / "sizes.json")
    yield "rife 4.25 by size", [*sizes, "--json", figures]
    yield (
        "plot",
        [sys.executable, "-m", "benchmarks.plot_speed", figures, "--out", os.fspath(out / "speed.svg")],
    )
    for vfi in ("vfi-m", "vfi-s"):
        for runtime, precision in _runtimes():
            chosen = ["--runtime", runtime, "--precision", precision]
            yield f"{vfi} {runtime} {precision}", [*bench, "--vfi", vfi, "--size", "1280x720", *chosen]
    yield (
        "whole files",
        [sys.executable, "-m", "benchmarks.whole_files", *(os.fspath(clips / x) for x in WHOLE)],
    )
    boxes = [sys.executable, "-m", "benchmarks.region_difference", "--clips", os.fspath(clips), "--runs", "3"]
    yield "boxes", boxes
    if train is not None:
        given = ["--train", os.fspath(train), "--clips", os.fspath(clips)]
        yield "int8", [sys.executable, "-m", "benchmarks.int8", *given]


def _memory(out: Path) -> str:
    """The most memory of the process by size of the frames, as a table."""
    lines = ["size | frames | peak GiB"]
    for size, frames in MEMORY.items():
        source, report = out / f"{size}.mkv", out / f"{size}.json"
        if not report.is_file():
            made = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=24", "-frames:v", str(frames)]
            subprocess.run(
                ["ffmpeg", "-v", "error", "-y", *made, "-preset", "ultrafast", str(source)], check=True
            )
            command = [*MASKVFI, "interpolate", str(source), str(out / f"{size}_2x.mkv"), "--overwrite"]
            subprocess.run([*command, "--report", str(report)], stdout=subprocess.DEVNULL, check=True)
        peak = json.loads(report.read_text(encoding="utf-8"))["peak_memory_bytes"]
        lines.append(f"{size} | {frames} | {peak / 2**30:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
