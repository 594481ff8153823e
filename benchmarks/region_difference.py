"""Compare frames that are computed in boxes with frames that are computed whole, on real clips.

python -m benchmarks.region_difference --clips CLIPS [--vfi NAME] [--runs 4] [--margin 32]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.data.clips import find_clips
from distill.data.tensors import as_batch, as_picture
from distill.evaluate.psnr import psnr
from distill.evaluate.runs import moving_runs
from distill.training.perceptual import STLPIPS, load_perceptual
from maskvfi.ops.boxes import MARGIN, Box, moving_boxes
from maskvfi.options import DEFAULT_VFI
from maskvfi.synthesis.interpolator import Interpolator

MEASURES = ("PSNR whole", "PSNR boxes", "ST-LPIPS whole", "ST-LPIPS boxes")


def main(
    clips: Annotated[Path, typer.Option(help="A folder of videos.")],
    vfi: Annotated[str, typer.Option(help="Interpolation weights: a name or a path.")] = DEFAULT_VFI,
    mask: Annotated[str, typer.Option(help="Mask weights: a name or a path.")] = "static-s",
    runs: Annotated[int, typer.Option(help="Places per clip.")] = 4,
    margin: Annotated[int, typer.Option(help="Px around what moves; the product's unless given.")] = MARGIN,
) -> None:
    """Print the share that is computed, the difference, and PSNR and ST-LPIPS of both against the true frame."""
    interpolator, distance = Interpolator(vfi, mask, "cpu", "fp32"), load_perceptual()
    table = Table("clip", "places", "computed", "mean difference", "99.9 %", *MEASURES)
    everything = []
    for clip in track(find_clips(clips), console=Console(stderr=True)):
        found = (_compared(interpolator, distance, run.truth, margin) for run in moving_runs(clip, runs))
        rows = [row for row in found if row]
        if rows:
            everything.extend(rows)
            table.add_row(clip.path.name, str(len(rows)), *_cells(rows))
    if everything:
        table.add_row("all", str(len(everything)), *_cells(everything))
    Console(width=150).print(table)


@torch.inference_mode()
def _compared(
    interpolator: Interpolator, distance: STLPIPS, run: list[np.ndarray], margin: int
) -> tuple[float, ...] | None:
    """The computed share, the mean and 99.9th percentile of the difference in the boxes (of 255), and MEASURES."""
    start, end = (interpolator.view(as_batch([frame])) for frame in (run[0], run[2]))
    weight = interpolator.weight(start, end)
    assert weight is not None
    boxes = moving_boxes(weight, interpolator.vfi.multiple(interpolator.scale), margin)
    height, width = run[0].shape[:2]
    whole = [Box(0, 0, height, width)]
    if not boxes or boxes == whole:
        return None
    boxed, full = (interpolator.between(start, end, 0.5, chosen) for chosen in (boxes, whole))
    change = 255 * torch.cat([(box.of(boxed) - box.of(full)).abs().flatten() for box in boxes]).numpy()
    share = sum(box.area for box in boxes) / (height * width)
    scores = [psnr(as_picture(x), run[1]) for x in (full, boxed)]
    scores += [float(distance(x, as_batch([run[1]])).mean()) for x in (full, boxed)]
    return (share, float(change.mean()), float(np.quantile(change, 0.999)), *scores)


def _cells(rows: list[tuple[float, ...]]) -> list[str]:
    share, mean, most, full, boxed, far, far_boxed = np.mean(rows, axis=0)
    return [
        *(f"{share:.0%}", f"{mean:.3f}", f"{most:.2f}", f"{full:.2f}", f"{boxed:.2f}"),
        *(f"{far:.4f}", f"{far_boxed:.4f}"),
    ]


if __name__ == "__main__":
    typer.run(main)
