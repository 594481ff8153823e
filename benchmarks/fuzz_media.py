"""Damage real files at random and interpolate them: each must succeed, or fail in one line and leave no file behind.

python -m benchmarks.fuzz_media --cases 2000 [--seed 0] [--keep FOLDER]
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.fuzzing import Case, count_ends, damaged, print_ends, serve

SOURCES = {
    "h264.mp4": "-c:v libx264 -bf 2 -c:a aac",
    "hevc.mkv": "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le -c:a flac",
    "vp9.webm": "-c:v libvpx-vp9 -c:a libopus",
    "prores.mov": "-c:v prores_ks -c:a pcm_s16le",
    "mpeg2.ts": "-c:v mpeg2video -c:a mp2",
    "mjpeg.avi": "-c:v mjpeg -c:a pcm_s16le",
    "gif.gif": "-an",
    "raw.y4m": "-pix_fmt yuv420p -an",
}


def main(
    cases: Annotated[int, typer.Option(help="How many files.")] = 2000,
    seed: Annotated[int, typer.Option(help="Equal seeds damage alike.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Where files that went wrong are kept.")] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Count how the cases end; exit code 1 if any ends badly."""
    if child:
        serve(_interpolate)
        return
    whole = _make_sources()

    def draw(name: str, rng: np.random.Generator, work: Path) -> Case:
        source = work / f"case{Path(name).suffix}"
        source.write_bytes(damaged(whole[name], rng))
        return Case((str(source), str(work / "out.mkv")), source)

    print_ends("source", count_ends(__file__, list(SOURCES), draw, cases, seed, keep))


def _make_sources() -> dict[str, bytes]:
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in SOURCES.items():
            path = Path(folder) / name
            video = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=12:duration=0.7"]
            sound = ["-f", "lavfi", "-i", "sine=duration=0.7"]
            subprocess.run(["ffmpeg", "-v", "error", *video, *sound, *options.split(), path], check=True)
            made[name] = path.read_bytes()
    return made


def _interpolate(source: str, target: str) -> None:
    import maskvfi

    maskvfi.interpolate(source, target, vfi="blend", mask=None, device="cpu")


if __name__ == "__main__":
    typer.run(main)
