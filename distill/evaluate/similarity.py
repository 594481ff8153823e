"""How close made frames are to the true ones, by every measure whose tool is installed."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from distill.arrays import Image
from distill.data.tensors import as_batch
from distill.evaluate.methods import find_ffmpeg, output_of
from distill.evaluate.psnr import psnr, psnr_over_divergence
from distill.options import MEASURES
from distill.training.perceptual import load_perceptual

NEEDS = {
    "ssim": "pip install pytorch-msssim",
    "stlpips": "pip install stlpips-pytorch",
    "lpips": "pip install lpips torchvision, and a backbone that it downloads",
    "ssimulacra2": "pip install ssimulacra2",
    "vmaf": "pip install imageio-ffmpeg, or an ffmpeg with libvmaf",
}
Run = Sequence[Image]  # frames that follow each other; the first and the last are the source's


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

    "psnr", "psnr_div" (see `psnr_over_divergence`), "sharpness" and "flicker" always; "stlpips" (Ghildyal and Liu, ECCV
    2022) with stlpips-pytorch; "ssim" (Wang et al. 2004) with pytorch-msssim; "lpips" (Zhang et al., CVPR 2018) with
    lpips and its backbone; "ssimulacra2" (Sneyers, 2022) with ssimulacra2; "vmaf" where ffmpeg has libvmaf.

    Attributes:
        missing: The other measures, each with what it needs.
    """

    def __init__(self, wanted: Sequence[str] = MEASURES) -> None:
        """Look for what measures.

        Args:
            wanted: Some of MEASURES.

        Raises:
            ValueError: There is no such measure.
        """
        if unknown := [name for name in wanted if name not in MEASURES]:
            raise ValueError(f"no measure {unknown[0]!r}; there are {', '.join(MEASURES)}")
        self.missing: list[str] = []
        self._wanted = wanted
        self._of_frames: dict[str, Callable[[Image, Image], float]] = {}
        for name, load in (
            ("ssim", _ssim),
            ("stlpips", _stlpips),
            ("lpips", _lpips),
            ("ssimulacra2", _ssimulacra2),
        ):
            if name in wanted:
                try:
                    self._of_frames[name] = load()
                except (ImportError, OSError, ValueError) as error:
                    self.missing.append(f"{name}: {NEEDS[name]} ({error})")
        self._vmaf = find_ffmpeg("libvmaf") if "vmaf" in wanted else None
        if self._vmaf is None and "vmaf" in wanted:
            self.missing.append(f"vmaf: {NEEDS['vmaf']}")

    @torch.inference_mode()
    def measures(self, made: Run, truth: Run) -> dict[str, float]:
        """All measures but VMAF.

        Args:
            made, truth: Runs of frames [H,W,3] that begin and end alike.

        Returns:
            The measures by name.
        """
        inner = list(zip(made[1:-1], truth[1:-1], strict=True))
        taken: dict[str, Callable[[], float]] = {
            "psnr": lambda: float(np.mean([psnr(*pair) for pair in inner])),
            "psnr_div": lambda: float(
                np.mean(
                    [psnr_over_divergence(*pair, after) for pair, after in zip(inner, made[2:], strict=True)]
                )
            ),
            "sharpness": lambda: float(np.mean([sharpness(*pair) for pair in inner])),
            "flicker": lambda: flicker(made, truth),
        }
        found = {name: take() for name, take in taken.items() if name in self._wanted}
        for name, measure in self._of_frames.items():
            found[name] = float(np.mean([measure(*pair) for pair in inner]))
        return found

    def vmaf(self, made: Sequence[Run], truth: Sequence[Run]) -> list[float] | None:
        """VMAF, by one call of ffmpeg.

        Args:
            made, truth: The runs of a clip, all of one size.

        Returns:
            One number for every run; None without libvmaf, or if it is not wanted.
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
            output_of(command, cwd=folder)
            frames = json.loads((Path(folder) / "log").read_text())["frames"]
        scores = iter(frame["metrics"]["vmaf"] for frame in frames)
        return [float(np.mean([next(scores) for _ in run][1:-1])) for run in truth]


def _ssim() -> Callable[[Image, Image], float]:
    from pytorch_msssim import ssim

    return lambda made, truth: float(ssim(as_batch([made]), as_batch([truth]), data_range=1.0))


def _stlpips() -> Callable[[Image, Image], float]:
    network = load_perceptual()
    return lambda made, truth: float(network(as_batch([made]), as_batch([truth])))


def _lpips() -> Callable[[Image, Image], float]:
    import lpips

    network: nn.Module = lpips.LPIPS(net="alex", verbose=False).requires_grad_(False)
    return lambda made, truth: float(network(as_batch([made]), as_batch([truth]), normalize=True))


def _ssimulacra2() -> Callable[[Image, Image], float]:
    from ssimulacra2 import compute_ssimulacra2

    def measure(made: Image, truth: Image) -> float:
        files = [io.BytesIO(cv2.imencode(".bmp", frame[..., ::-1])[1].tobytes()) for frame in (truth, made)]
        return float(compute_ssimulacra2(*files))

    return measure
