"""How well the frame in the middle of real triplets is found."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from distill.clips import Image, find_clips
from maskvfi.hub import load_vfi
from maskvfi.rife import IFNet
from maskvfi.warp import backward_warp

STILL = 0.5  # mean change of a triplet's ends, in code values, under which there is nothing to interpolate


@dataclass(frozen=True, slots=True)
class ClipQuality:
    """Mean PSNR in dB over the triplets of a clip, by method."""

    clip: str
    triplets: int
    blend: float
    dis: float
    vfi: float


def measure_quality(clips: Path, vfi: str, triplets: int) -> list[ClipQuality]:
    """PSNR (RGB, 8 bits, capped at 60 dB) of frame k+1 made from k and k+2, on evenly spread moving triplets."""
    network = load_vfi(vfi)
    results = []
    for clip in find_clips(clips):
        scores = [_score(network, *frames) for frames in moving_triplets(clip.path, triplets)]
        if scores:
            results.append(
                ClipQuality(clip.path.name, len(scores), *(float(s) for s in np.mean(scores, axis=0)))
            )
    return results


def quality_table(results: list[ClipQuality]) -> Table:
    table = Table("clip", "triplets", "blend", "DIS", "network", title="PSNR of the middle frame, dB")
    for r in results:
        table.add_row(r.clip, str(r.triplets), *(f"{x:.2f}" for x in (r.blend, r.dis, r.vfi)))
    means = (float(np.mean([getattr(r, name) for r in results])) for name in ("blend", "dis", "vfi"))
    table.add_row("mean over clips", "", *(f"{x:.2f}" for x in means))
    return table


def moving_triplets(path: Path, count: int) -> Iterator[tuple[Image, Image, Image]]:
    """Up to `count` evenly spread triplets of consecutive RGB frames in which something moves."""
    video = cv2.VideoCapture(os.fspath(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = (
        {int(k) for k in np.linspace(2, total - 1, min(count, max(total - 2, 0)))} if total > 2 else set()
    )
    window: list[Image] = []
    for number in range(total):
        found, frame = video.read()
        if not found:
            return
        window = [*window[-2:], frame[..., ::-1]]
        if number in wanted and float(cv2.absdiff(window[0], window[2]).mean()) > STILL:
            yield window[0], window[1], window[2]


@torch.inference_mode()
def _score(network: IFNet, start: Image, middle: Image, end: Image) -> tuple[float, float, float]:
    img0, truth, img1 = (_tensor(frame) for frame in (start, middle, end))
    made = (img0 + img1) / 2, _dis(start, end, img0, img1), network(img0, img1, 0.5).frame
    return psnr(made[0], truth), psnr(made[1], truth), psnr(made[2], truth)


def psnr(made: Tensor, truth: Tensor) -> float:
    """In dB, of pictures in 0..1 after rounding to 8 bits; at most 60."""
    error = ((made * 255).round() / 255 - truth).square().mean()
    return min(60.0, -10 * math.log10(max(float(error), 1e-12)))


def _dis(start: Image, end: Image, img0: Tensor, img1: Tensor) -> Tensor:
    """Both frames warped half way along DIS flow, averaged."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    a, b = (cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (start, end))
    ahead, back = (
        torch.from_numpy(search.calc(p, q, None)).permute(2, 0, 1)[None] for p, q in ((a, b), (b, a))
    )
    return (backward_warp(img0, back / 2) + backward_warp(img1, ahead / 2)) / 2


def _tensor(frame: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255
