"""Estimate what an hour of video costs, by size and by how much moves, and compare with batches of real clips.

python -m benchmarks.scaling --clips CLIPS [--seconds 1] [--frames 9]    (prints the tables of docs/cost.md)
"""

from __future__ import annotations

import csv
import logging
import os
import platform
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import cv2
import numpy as np
import ray
import torch
import typer
from rich.console import Console

import maskvfi
from maskvfi.allocator import keep_freed_memory
from maskvfi.batch import Row, Summary, batch
from maskvfi.paths import VIDEO_SUFFIXES
from maskvfi.timing.scenes import SceneWatcher
from maskvfi.video import Frame, SourceInfo, open_source

SIZES = ((640, 360), (1280, 720), (1920, 1080))
MOVING = (1.0, 0.5, 0.1)  # shares of the picture that move
STAGES = ("read", "convert", "mask", "network", "fuse", "write")
CALLED = {"fuse": "composition"}
HOURS = 10_000
RATE = 24  # frames per second of the source; the output has twice as many
# Of clips and batches alike.
NETWORKS: dict[str, Any] = {"device": "cpu", "runtime": "torch", "precision": "fp32"}
FASTER = (1, 10, 100)  # how many times as fast as one core the networks are assumed to be
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Rates:
    """Core seconds per megapixel.

    Attributes:
        mask, rest: Of a new frame: the mask; conversion and composition.
        network: Of what the interpolation network computes.
        decode, watch, encode: Of every frame: the decoder, the detection of cuts and repeats, the encoder.
        packed: Bytes per megapixel that libx264 writes by default.
    """

    mask: float
    network: float
    rest: float
    decode: float
    watch: float
    encode: float
    packed: float

    def new_frame(self, computed: float) -> float:
        """The cost of a new frame, without decoder and encoder; computed is the share that the network computes."""
        return self.mask + self.rest + self.network * computed

    def gap(self, computed: float) -> float:
        """The cost of a source frame, decoded by survey and worker, and of two output frames."""
        return self.new_frame(computed) + self.read() + 2 * self.encode

    def read(self) -> float:
        """The cost of decoding a source frame in survey and worker, and of watching it for cuts."""
        return 2 * self.decode + self.watch


def main(
    clips: Annotated[Path, typer.Option(help="A folder of videos, for the batches.")],
    seconds: Annotated[float, typer.Option(help="Seconds of each video.")] = 1.0,
    frames: Annotated[int, typer.Option(help="Frames of each made clip.")] = 9,
    repeats: Annotated[int, typer.Option(help="Runs of the batches; the fastest counts.")] = 2,
) -> None:
    """Measure one core, then batches on one core and on two. Prints tables in Markdown."""
    keep_freed_memory()  # as `maskvfi batch` and its workers do
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed, to compare with one")
    print(f"{platform.processor() or platform.machine()}, load before: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as folder:
        found = sorted(path for path in clips.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
        use_cores(cores[:1])
        measured = list(stages(Path(folder), frames))
        runs = [
            [
                run_batch(found, Path(folder) / f"{number} on {count}", cores[:count], seconds)
                for count in (1, 2)
            ]
            for number in range(repeats)
        ]
        one, one_wall = min((each[0] for each in runs), key=lambda run: run[1])
        two, two_wall = min((each[1] for each in runs), key=lambda run: run[1])
        use_cores(cores[:1])
        rates = fit(measured, [Path(row.target) for row in one])
        show_rates(rates)
        show_batches(one, two, rates, Path(folder))
        alike = sum(decoded(Path(a.target)) == decoded(Path(b.target)) for a, b in zip(one, two, strict=True))
        print(
            f"\nFastest of {repeats}: one worker {one_wall:.1f} s, two {two_wall:.1f} s: "
            f"{one_wall / two_wall:.2f} times as fast; frames identical in {alike} of {len(one)} videos.\n"
        )
        show_hours(rates, [row.computed_share for row in one])
        show_bottleneck(rates)


def stages(folder: Path, frames: int) -> Iterator[tuple[float, maskvfi.Report]]:
    """Interpolate clips of each size and moving share. Yields megapixels of new frames, and the report."""
    print(
        "| size | moves | still | computed | "
        + " | ".join(f"{CALLED.get(s, s)} s" for s in STAGES)
        + " | sum s |"
    )
    print("|---|---|---|---|" + "---|" * (len(STAGES) + 1))
    for width, height in SIZES:
        for moving in MOVING:
            console.print(f"{width}x{height}, {moving:.0%} moves")
            clip = folder / f"{width}_{moving}.mkv"
            render(clip, width, height, moving, frames)
            done = maskvfi.interpolate(clip, folder / "out.mkv", codec="ffv1", overwrite=True, **NETWORKS)
            each = [done.seconds.get(stage, 0.0) / (frames - 1) for stage in STAGES]
            cells = " | ".join(f"{value:.3f}" for value in [*each, sum(each)])
            name = f"{width}x{height} | {moving:.0%} | {done.static_share:.0%} | {done.computed_share:.0%}"
            print(f"| {name} | {cells} |", flush=True)
            yield width * height / 1e6 * (frames - 1), done


def render(path: Path, width: int, height: int, moving: float, frames: int) -> None:
    """Render a texture that pans in a rectangle in the middle and stands still around it."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 8 + 1, (width + 4 * frames) // 8 + 1), np.uint8)
    wide = cv2.resize(small, (width + 4 * frames, height), interpolation=cv2.INTER_CUBIC)
    h, w = (int(side * moving**0.5) for side in (height, width))
    top, left = (height - h) // 2, (width - w) // 2
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(frames):
            picture = wide[:, :width].copy()
            picture[top : top + h, left : left + w] = wide[:, 4 * n :][top : top + h, left : left + w]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p")))
        out.mux(stream.encode(None))


def run_batch(
    found: Sequence[Path], out: Path, cores: Sequence[int], seconds: float
) -> tuple[list[Row], float]:
    """Run a batch with one worker on each of these cores. Returns the rows and the seconds without loading."""
    table = out.with_suffix(".csv")
    with table.open("w", newline="") as file:
        rows = [["source", "target"], *([str(path.absolute()), f"{path.stem}.mkv"] for path in found)]
        csv.writer(file).writerows(rows)
    use_cores(cores)
    began: list[float] = []

    def started(at: Summary) -> None:
        if not began:
            console.print(f"batch on {len(cores)} cores")
            began.append(time.perf_counter())

    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    ray.init("local", num_cpus=len(cores), **quiet)
    settings = {**NETWORKS, "codec": "ffv1", "end": seconds}
    done = batch([str(table)], str(out), workers=len(cores), progress=started, **settings)
    wall = time.perf_counter() - began[0]
    ray.shutdown()
    for row in done:
        if row.status != "done":
            raise SystemExit(f"{row.source}: {row.error}")
    return done, wall


def fit(measured: Sequence[tuple[float, maskvfi.Report]], made: Sequence[Path]) -> Rates:
    """Compute the costs per megapixel from sums over all measurements, so that large frames count most."""
    pixels = sum(megapixels for megapixels, _ in measured)
    computed = sum(megapixels * done.computed_share for megapixels, done in measured)

    def spent(*names: str) -> float:
        return sum(done.seconds.get(name, 0.0) for _, done in measured for name in names)

    return Rates(
        spent("mask") / pixels,
        spent("network") / computed,
        spent("convert", "fuse") / pixels,
        *coding(made),
    )


def coding(paths: Sequence[Path]) -> tuple[float, float, float, float]:
    """Measure decode, watch, encode and packed (see `Rates`) with H.264."""
    pixels = decode = watch = encode = packed = 0.0
    for path in paths:
        console.print(f"encoding {path.name}")
        copy = path.with_suffix(".mp4")
        with open_source(path) as reader:
            frames = list(reader)
            watch += best(watched, reader.info, frames)
            writer = maskvfi.video.VideoWriter(copy, reader.info, rate=reader.info.rate)
            since = time.perf_counter()
            with writer:
                for frame in frames:
                    writer.write(frame)
            encode += time.perf_counter() - since
            pixels += len(frames) * reader.info.width * reader.info.height / 1e6
        decode += best(read, copy)
        packed += copy.stat().st_size
    return decode / pixels, watch / pixels, encode / pixels, packed / pixels


def watched(info: SourceInfo, frames: Sequence[Frame]) -> None:
    """Look for cuts and repeats in frames."""
    deque(SceneWatcher(info).watch(frames), 0)


def read(path: Path) -> None:
    """Decode a video."""
    deque(open_source(path), 0)


def best(work: Callable[..., None], *given: object) -> float:
    """The shortest of three runs, in seconds."""
    took = []
    for _ in range(3):
        since = time.perf_counter()
        work(*given)
        took.append(time.perf_counter() - since)
    return min(took)


def show_rates(rates: Rates) -> None:
    print("\n| one core, for one megapixel | |\n|---|---|")
    print(f"| mask | {rates.mask:.3f} s |\n| network, of what it computes | {rates.network:.3f} s |")
    print(f"| planes to RGB, composition | {rates.rest:.3f} s |\n| decoding H.264 | {rates.decode:.4f} s |")
    print(f"| watching for cuts and repeats | {rates.watch:.4f} s |")
    print(f"| encoding, libx264 at its default | {rates.encode:.3f} s |")
    print(f"| bytes of it | {rates.packed / 1e6:.3f} MB |\n")


def show_batches(one: Sequence[Row], two: Sequence[Row], rates: Rates, folder: Path) -> None:
    """Print what the workers spent on mask, network, conversion and composition, beside the model's estimate."""
    print("| clip | frames | still | computed | model s | one worker s | two workers s | survey s | join s |")
    print("|---|---|---|---|---|---|---|---|---|")
    total = np.zeros(3)
    for a, b in zip(one, two, strict=True):
        with open_source(a.target) as reader:
            size = reader.info.width * reader.info.height / 1e6
        model = size * (a.frames_out - a.frames_in) * rates.new_frame(a.computed_share)
        both = [
            sum(getattr(row, f"seconds_{name}") for name in ("convert", "mask", "network", "fuse"))
            for row in (a, b)
        ]
        total += (model, *both)
        shares = f"{a.static_share:.0%} | {a.computed_share:.0%}"
        spent = f"{model:.1f} | {both[0]:.1f} | {both[1]:.1f} | {a.seconds_survey:.1f} | {a.seconds_join:.2f}"
        print(f"| {Path(a.source).name} | {a.frames_in} to {a.frames_out} | {shares} | {spent} |")
    print(f"| all | | | | {total[0]:.1f} | {total[1]:.1f} | {total[2]:.1f} | | |")


def show_hours(rates: Rates, shares: Sequence[float]) -> None:
    """Print core hours for an hour of video, and core years for HOURS hours."""
    mean = float(np.mean(shares))
    computed = (1.0, mean, 0.2, 0.0)
    print(f"| an hour of {RATE} fps, doubled | " + " | ".join(f"{c:.0%} computed" for c in computed) + " |")
    print("|---|" + "---|" * len(computed))
    for width, height in (*SIZES, (3840, 2160)):
        hours = [3600 * RATE * width * height / 1e6 * rates.gap(c) / 3600 for c in computed]
        years = [HOURS * each / 24 / 365 for each in hours]
        cells = (f"{h:.1f} core h ({y:.0f})" for h, y in zip(hours, years, strict=True))
        print(f"| {width}x{height} | " + " | ".join(cells) + " |")
    print(f"\nIn brackets: core years for {HOURS} hours. {mean:.0%} is the mean of the clips above.\n")


def show_bottleneck(rates: Rates) -> None:
    """Print where the time of a 1080p frame goes if mask, network and composition are faster than on one core."""
    size = 1920 * 1080 / 1e6
    print("| networks | networks s | read s | encode s | largest | MB/s written by 100 workers |")
    print("|---|---|---|---|---|---|")
    for faster in FASTER:
        cost = {
            "networks": size * rates.new_frame(1.0) / faster,
            "read": size * rates.read(),
            "encode": size * 2 * rates.encode,
        }
        written = 100 * 2 * size * rates.packed / 1e6 / sum(cost.values())
        cells = " | ".join(f"{each:.3f}" for each in cost.values())
        print(f"| {faster} times one core | {cells} | {max(cost, key=lambda k: cost[k])} | {written:.1f} |")
    print(
        f"\nThe survey of one 1080p video, alone: {1 / (size * (rates.decode + rates.watch)):.0f} frames/s."
    )


def use_cores(cores: Sequence[int]) -> None:
    """Restrict this process, and those that it starts, to some cores."""
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def decoded(path: Path) -> list[tuple[Fraction, bytes]]:
    with open_source(path) as reader:
        return [(frame.pts, b"".join(plane.tobytes() for plane in frame.planes)) for frame in reader]


if __name__ == "__main__":
    typer.run(main)
