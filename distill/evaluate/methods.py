"""Ways to make frames between two: blending, DIS flow, ffmpeg's minterpolate, and our networks, masked or not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from distill.arrays import Image
from distill.data.dis import search
from distill.data.tensors import as_batch, as_picture, grey
from maskvfi.ops.warp import BICUBIC, backward_warp
from maskvfi.synthesis.interpolator import Interpolator

Method = Callable[[Image, Image, int], list[Image]]  # (start, end, k) -> k-1 RGB frames, evenly between


def blend(start: Image, end: Image, times: int) -> list[Image]:
    """A cross-fade, as a `Method`."""
    return [cv2.addWeighted(start, 1 - t, end, t, 0) for t in _moments(times)]


@torch.inference_mode()
def dis(start: Image, end: Image, times: int) -> list[Image]:
    """Both frames warped along DIS flow and mixed, as a `Method`.

    The flow at time t is taken from the same pixel of a frame; it is not projected along the motion to t. Colours are
    read bicubically, as those of our networks are.
    """
    a, b = grey(start), grey(end)
    ahead, back = (torch.from_numpy(search(p, q))[None] for p, q in ((a, b), (b, a)))
    img0, img1 = as_batch([start]), as_batch([end])
    made = (
        torch.lerp(
            backward_warp(img0, t * back, sampling=BICUBIC),
            backward_warp(img1, (1 - t) * ahead, sampling=BICUBIC),
            t,
        )
        for t in _moments(times)
    )
    return [as_picture(frame) for frame in made]


def minterpolate(ffmpeg: str) -> Method:
    """ffmpeg's own motion-compensated interpolation, through 8-bit 4:4:4 YUV, since the filter takes no RGB.

    Args:
        ffmpeg: A binary that has it, see `find_ffmpeg`.
    """

    def method(start: Image, end: Image, times: int) -> list[Image]:
        height, width = start.shape[:2]
        size = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        filters = f"format=yuv444p,minterpolate=fps={times}:scd=none"
        # minterpolate looks one frame further on either side, so each end is shown twice, one second apart.
        shown = b"".join(frame.tobytes() for frame in (start, start, end, end))
        command = [ffmpeg, "-v", "error", *size, "-r", "1", "-i", "-", "-vf", filters, *size, "-"]
        raw = output_of(command, input=shown)
        frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
        return [frame.copy() for frame in frames[times + 1 : 2 * times]]

    return method


def find_minterpolate() -> tuple[dict[str, Method], list[str]]:
    """Look for an ffmpeg with `minterpolate`.

    Returns:
        The method by its name; and what is missing, if there is none.
    """
    ffmpeg = find_ffmpeg("minterpolate")
    if ffmpeg is None:
        return {}, ["minterpolate (needs ffmpeg)"]
    return {"minterpolate": minterpolate(ffmpeg)}, []


def network(interpolator: Interpolator) -> Method:
    """Our interpolation, with the mask of the interpolator, if it has one."""

    def method(start: Image, end: Image, times: int) -> list[Image]:
        return [interpolator(start, end, t) for t in _moments(times)]

    return method


def find_ffmpeg(wanted: str) -> str | None:
    """Look for an ffmpeg that has a filter.

    Args:
        wanted: The filter's name.

    Returns:
        The binary of the package imageio-ffmpeg, or the system's; None: neither has it.
    """
    found = [shutil.which("ffmpeg")]
    try:
        import imageio_ffmpeg

        found.insert(0, imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # it is not installed, or comes without a binary
        pass
    for binary in filter(None, found):
        listing = subprocess.run([binary, "-hide_banner", "-filters"], capture_output=True, text=True).stdout
        if any(wanted in line.split()[1:2] for line in listing.splitlines()):
            return binary
    return None


def output_of(command: list[str], **how: Any) -> bytes:
    """Run a command of FFmpeg.

    Args:
        command: The program and its arguments.
        **how: As `subprocess.run` takes it.

    Returns:
        What it has written to stdout.

    Raises:
        ValueError: It has failed.
    """
    done = subprocess.run(command, capture_output=True, **how)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ValueError(f"{Path(command[0]).name}: {said[-1]}")
    return done.stdout


def _moments(times: int) -> list[float]:
    """The times in 0..1 of the frames between."""
    return [k / times for k in range(1, times)]
