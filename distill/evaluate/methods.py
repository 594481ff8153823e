"""Ways to make frames between two: blending, DIS flow, ffmpeg's minterpolate, and our networks, masked or not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from distill.data.clips import Image
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.ops.warp import backward_warp

Method = Callable[[Image, Image, int], list[Image]]  # (start, end, k) -> k-1 RGB frames, evenly between


def blend(start: Image, end: Image, times: int) -> list[Image]:
    """Both frames mixed."""
    return [cv2.addWeighted(start, 1 - t, end, t, 0) for t in _moments(times)]


@torch.inference_mode()
def dis(start: Image, end: Image, times: int) -> list[Image]:
    """Both frames warped along DIS flow, as if it stayed where it was measured, and mixed."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    a, b = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (start, end))
    ahead, back = (
        torch.from_numpy(search.calc(p, q, None)).permute(2, 0, 1)[None] for p, q in ((a, b), (b, a))
    )
    img0, img1 = as_tensor(start), as_tensor(end)
    made = (
        torch.lerp(backward_warp(img0, t * back), backward_warp(img1, (1 - t) * ahead), t)
        for t in _moments(times)
    )
    return [as_picture(frame) for frame in made]


def minterpolate(ffmpeg: str) -> Method:
    """ffmpeg's own motion-compensated interpolation, by a binary that has it."""

    def method(start: Image, end: Image, times: int) -> list[Image]:
        height, width = start.shape[:2]
        size = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        filters = f"format=yuv444p,minterpolate=fps={times}:scd=none"
        # It looks a frame further on either side: each end is shown twice, one second apart.
        shown = b"".join(frame.tobytes() for frame in (start, start, end, end))
        command = [ffmpeg, "-v", "error", *size, "-r", "1", "-i", "-", "-vf", filters, *size, "-"]
        raw = subprocess.run(command, input=shown, capture_output=True, check=True).stdout
        frames = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
        return [frame.copy() for frame in frames[times + 1 : 2 * times]]

    return method


def network(interpolator: Interpolator) -> Method:
    """Ours, with whatever mask it has."""

    def method(start: Image, end: Image, times: int) -> list[Image]:
        return [interpolator(start, end, t) for t in _moments(times)]

    return method


def find_ffmpeg(wanted: str) -> str | None:
    """An ffmpeg with the filter `wanted`: the one in the package imageio-ffmpeg, else the system's; else None."""
    found = [shutil.which("ffmpeg")]
    try:
        import imageio_ffmpeg
    except ImportError:
        pass
    else:
        found.insert(0, imageio_ffmpeg.get_ffmpeg_exe())
    for binary in filter(None, found):
        listing = subprocess.run([binary, "-hide_banner", "-filters"], capture_output=True, text=True).stdout
        if any(wanted in line.split()[1:2] for line in listing.splitlines()):
            return binary
    return None


def as_tensor(frame: Image) -> Tensor:
    """RGB [H,W,3] as [1,3,H,W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255


def as_picture(image: Tensor) -> Image:
    """[1,3,H,W] in 0..1 as RGB [H,W,3]."""
    picture: Image = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return picture


def _moments(times: int) -> list[float]:
    return [k / times for k in range(1, times)]
