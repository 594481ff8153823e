"""What bicubic samples are worth: the same weights, whose frames are read between pixels in two ways.

Prints the means over clips for each network and the time of a warp, and draws a picture: the frame before, the new
frame by bilinear and by bicubic samples, and the true frame.

python -m benchmarks.sampling --clips CLIPS --vfi vfi-m [--vfi ...] [--out PNG --name CLIP --crop LEFT TOP WIDTH HEIGHT]
"""

import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.pictures import clip_named, write_png
from distill.data.clips import find_clips
from distill.evaluate.methods import network
from distill.evaluate.quality import of_ends
from distill.evaluate.runs import Maker, Run, moving_runs
from distill.evaluate.similarity import Similarity
from maskvfi.allocator import keep_freed_memory
from maskvfi.models.rife import IFNet
from maskvfi.ops.warp import BICUBIC, BILINEAR, backward_warp
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.weights.load import load_vfi

MEASURES = ("psnr", "stlpips", "sharpness", "ssim", "flicker")
ZOOM = 3
SIZE = (720, 1280)  # px, height and width of the frame whose warp is timed


def main(
    clips: Annotated[Path, typer.Option(help="A folder of clips.")],
    vfi: Annotated[list[str], typer.Option(help="Interpolation weights: a name or a path; again for more.")],
    runs: Annotated[int, typer.Option(help="Moving places per clip.")] = 4,
    out: Annotated[Path | None, typer.Option(help="The PNG to write.")] = None,
    name: Annotated[str, typer.Option(help="How the name of the picture's clip begins.")] = "",
    crop: Annotated[tuple[int, int, int, int], typer.Option(help="Its left, top, width and height, px.")] = (
        0,
        0,
        200,
        130,
    ),
) -> None:
    """Measure each network with both kinds of samples."""
    methods = {
        (each, sampling): of_ends(
            network(Interpolator(reading(each, sampling), None, "cpu", "fp32", runtime="torch"))
        )
        for each in vfi
        for sampling in (BILINEAR, BICUBIC)
    }
    if out:
        clip = clip_named(clips, name)
        draw(
            out,
            next(moving_runs(clip, runs)),
            [methods[vfi[0], each] for each in (BILINEAR, BICUBIC)],
            crop,
        )
    similarity = Similarity(MEASURES)
    found: dict[tuple[str, str], list[list[float]]] = {key: [] for key in methods}
    for clip in find_clips(clips):
        places = list(moving_runs(clip, runs))
        for key, method in methods.items() if places else ():
            measured = [similarity.measures(run.made(method), run.truth) for run in places]
            found[key].append([float(np.mean([each[m] for each in measured])) for m in MEASURES])
    table = Table("weights", "samples", *MEASURES)
    for (each, sampling), rows in found.items():
        table.add_row(Path(each).name, sampling, *(f"{value:.4f}" for value in np.mean(rows, axis=0)))
    Console(width=120).print(table)
    keep_freed_memory()  # as the command does
    for sampling in (BILINEAR, BICUBIC):
        print(f"{sampling}: {1000 * seconds(sampling):.0f} ms for the warp of a frame of {SIZE[1]}x{SIZE[0]}")


def reading(weights: str, sampling: str) -> IFNet:
    """A RIFE network that reads the colours of its frames by `sampling`."""
    found = cast(IFNet, load_vfi(weights))
    found.variant = replace(found.variant, sampling=sampling)
    return found


@torch.inference_mode()
def seconds(sampling: str) -> float:
    """The median time of a warp on the CPU."""
    frame, flow = torch.rand(1, 3, *SIZE), 8 * torch.rand(1, 2, *SIZE)
    spent = []
    for _ in range(15):
        begun = time.perf_counter()
        backward_warp(frame, flow, sampling=sampling)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)


def draw(out: Path, run: Run, methods: list[Maker], crop: tuple[int, int, int, int]) -> None:
    """Write the frame before, that of each method, and the true frame, side by side."""
    left, top, width, height = crop
    middle = len(run.truth) // 2
    row = [run.truth[0], *(run.made(method)[middle] for method in methods), run.truth[middle]]
    if left + width > row[0].shape[1] or top + height > row[0].shape[0]:
        raise SystemExit(
            f"the picture's clip is {row[0].shape[1]}x{row[0].shape[0]}, the crop lies outside of it"
        )
    cut = [
        cv2.resize(
            picture[top : top + height, left : left + width],
            None,
            fx=ZOOM,
            fy=ZOOM,
            interpolation=cv2.INTER_NEAREST,
        )
        for picture in row
    ]
    gap = np.full((cut[0].shape[0], 6, 3), 255, np.uint8)
    joined = np.hstack([part for picture in cut for part in (picture, gap)][:-1])
    write_png(out, joined)


if __name__ == "__main__":
    typer.run(main)
