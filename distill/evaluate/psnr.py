"""PSNR of whole pictures, of a part of them, and of the places where motion diverges."""

from __future__ import annotations

import math

import cv2
import numpy as np

from distill.arrays import Bools, Floats, Image

MOST = 60.0  # dB; equal pictures have no finite PSNR
LUMA = np.array([0.2126, 0.7152, 0.0722])  # BT.709
TORN = 0.01  # of the largest divergence in a frame, above which a pixel counts


def psnr(made: Image, truth: Image, where: Bools | None = None) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures.

    Args:
        made, truth: [H,W,3].
        where: [H,W], the pixels that count; by default all.

    Returns:
        In dB, at most MOST.
    """
    error = (made.astype(np.float32) - truth.astype(np.float32)) ** 2
    return _decibels(float(error.mean() if where is None else error[where].mean()))


def psnr_over_divergence(made: Image, truth: Image, following: Image) -> float:
    """PSNR of luma where the motion from a made frame to the next one diverges.

    PSNR_DIV of Daly, Ramsook and Kokaram (QoMEX 2025, arXiv 2510.01361): the divergence of a motion field marks its
    singularities, and errors count only there. The motion is Farneback's, as in the authors' example.

    Args:
        made, truth: The frame that was made and the true one, [H,W,3].
        following: The frame that is shown after the made one, [H,W,3].

    Returns:
        In dB, at most MOST.
    """
    first, second = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (made, following))
    gaussian = cv2.OPTFLOW_FARNEBACK_GAUSSIAN
    flow = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, gaussian)
    return luma_psnr(made, truth, torn(flow))


def torn(flow: Floats) -> Bools:
    """Where a motion field (u,v) diverges: |du/dx + dv/dy| is above TORN of its largest value.

    Args:
        flow: [H,W,2], x then y, in px.

    Returns:
        [H,W]; all of it, where the field diverges nowhere.
    """
    divergence = np.abs(np.gradient(flow[..., 0], axis=1) + np.gradient(flow[..., 1], axis=0))
    largest = float(divergence.max())
    return divergence / largest > TORN if largest > 0 else np.ones(divergence.shape, bool)


def luma_psnr(made: Image, truth: Image, where: Bools) -> float:
    """PSNR in dB of luma in whole code values, over the pixels `where` [H,W] of two pictures [H,W,3]."""
    first, second = (np.floor(frame @ LUMA) for frame in (made, truth))
    return _decibels(float(((first - second)[where] ** 2).mean()))


def _decibels(error: float) -> float:
    """PSNR in dB of a mean squared error in code values of 8 bits."""
    return min(MOST, 10 * math.log10(255**2 / max(error, 1e-9)))
