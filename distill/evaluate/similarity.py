"""How close made frames are to the true ones, by every measure whose tool is installed."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distill.arrays import Bools, Image
from distill.data.tensors import as_batch
from distill.evaluate.methods import find_ffmpeg
from distill.training.perceptual import load_perceptual

Run = Sequence[Image]  # frames that follow each other; the first and the last are the source's


def psnr(made: Image, truth: Image, where: Bools | None = None) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures.

    Args:
        made, truth: [H,W,3].
        where: [H,W], the pixels that count; by default all.

    Returns:
        In dB, at most 60.
    """
    error = (made.astype(np.float32) - truth.astype(np.float32)) ** 2
    mean = float(error.mean() if where is None else error[where].mean())
    return min(60.0, 10 * math.log10(255**2 / max(mean, 1e-9)))


def flicker(made: Run, truth: Run) -> float:
    """How much changes from frame to frame differ from the true changes, mean over pixels, in code values."""
    steps = [np.diff(np.stack(run).astype(np.float32), axis=0) for run in (made, truth)]
    return float(np.abs(steps[0] - steps[1]).mean())


def sharpness(made: Image, truth: Image) -> float:
    """How much detail a picture [H,W,3] has, as the mean length of its gradient over that of the truth.

    1 is as sharp as the truth, less is blur, more is noise. It says nothing of where the detail is.
    """
    lengths = []
    for picture in (made, truth):
        grey = picture.astype(np.float32).mean(axis=2)
        lengths.append(float(np.hypot(np.diff(grey, axis=0)[:, 1:], np.diff(grey, axis=1)[1:]).mean()))
    return lengths[0] / max(lengths[1], 1e-6)


class Similarity:
    """The measures that can be taken on this machine, each as the mean over a run's made frames.

    "psnr", "sharpness" and "flicker" always; "stlpips" (Ghildyal and Liu, ECCV 2022) with stlpips-pytorch; "ssim" (Wang
    et al. 2004) with pytorch-msssim; "lpips" (Zhang et al., CVPR 2018) with lpips and its backbone; "vmaf" where ffmpeg
    has libvmaf.

    Attributes:
        missing: The other measures, each with what it needs.
    """

    def __init__(self) -> None:
        self.missing: list[str] = []
        try:
            from pytorch_msssim import ssim
        except ImportError:
            ssim = None
            self.missing.append("SSIM: pip install pytorch-msssim")
        self._ssim = ssim
        self._stlpips: nn.Module | None = None
        try:
            self._stlpips = load_perceptual()
        except ValueError as error:
            self.missing.append(str(error))
        self._lpips: nn.Module | None = None
        try:
            self._lpips = _lpips_network()
        except (ImportError, OSError) as error:  # OSError: the backbone cannot be downloaded
            self.missing.append(f"LPIPS: pip install lpips torchvision ({error})")
        self._vmaf = find_ffmpeg("libvmaf")
        if self._vmaf is None:
            self.missing.append("VMAF: pip install imageio-ffmpeg, or an ffmpeg with libvmaf")

    @torch.inference_mode()
    def measures(self, made: Run, truth: Run) -> dict[str, float]:
        """All measures but VMAF.

        Args:
            made, truth: Runs of frames [H,W,3] that begin and end alike.

        Returns:
            The measures by name.
        """
        inner = list(zip(made[1:-1], truth[1:-1], strict=True))
        found = {
            "psnr": float(np.mean([psnr(*pair) for pair in inner])),
            "sharpness": float(np.mean([sharpness(*pair) for pair in inner])),
            "flicker": flicker(made, truth),
        }
        pairs = [(as_batch([a]), as_batch([b])) for a, b in inner]
        if self._stlpips:
            found["stlpips"] = float(np.mean([float(self._stlpips(a, b)) for a, b in pairs]))
        if self._ssim:
            found["ssim"] = float(np.mean([float(self._ssim(a, b, data_range=1.0)) for a, b in pairs]))
        if self._lpips:
            found["lpips"] = float(np.mean([float(self._lpips(a, b, normalize=True)) for a, b in pairs]))
        return found

    def vmaf(self, made: Sequence[Run], truth: Sequence[Run]) -> list[float] | None:
        """VMAF, by one call of ffmpeg.

        Args:
            made, truth: The runs of a clip, all of one size.

        Returns:
            One number for every run; None without libvmaf.
        """
        if self._vmaf is None:
            return None
        height, width = truth[0][0].shape[:2]
        size = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "25"]
        with tempfile.TemporaryDirectory() as folder:
            for name, runs in (("made", made), ("truth", truth)):
                with open(Path(folder) / name, "wb") as file:
                    for run in runs:
                        file.writelines(np.ascontiguousarray(frame).tobytes() for frame in run)
            graph = "[0]format=yuv420p[a];[1]format=yuv420p[b];[a][b]libvmaf=log_fmt=json:log_path=log"
            inputs = [*size, "-i", "made", *size, "-i", "truth"]
            command = [self._vmaf, "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            frames = json.loads((Path(folder) / "log").read_text())["frames"]
        scores = iter(frame["metrics"]["vmaf"] for frame in frames)
        return [float(np.mean([next(scores) for _ in run][1:-1])) for run in truth]


def _lpips_network() -> nn.Module:
    """LPIPS on AlexNet. Raises ImportError or OSError where the package or its backbone cannot be had."""
    import lpips

    network: nn.Module = lpips.LPIPS(net="alex", verbose=False).requires_grad_(False)
    return network
