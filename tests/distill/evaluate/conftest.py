"""Fixtures of the benchmarks' tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from distill.evaluate.cases import Case, static_cases
from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import save_weights


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """A folder with one clip, a texture that slides by 3 px per frame."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (70, 110, 3)).astype(np.uint8), (440, 280))
    writer = cv2.VideoWriter(str(folder / "slide.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 272))
    for k in range(24):
        writer.write(np.ascontiguousarray(texture[:272, 3 * k : 3 * k + 320]))
    writer.release()
    return folder


@pytest.fixture(scope="session")
def cases(clips) -> list[Case]:
    """Two of every kind, so that each kind has one over real frames and one over synthetic motion."""
    return list(static_cases(clips, 2, seed=1))


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mask.safetensors"
    save_weights(path, StaticMaskNet())
    return str(path)
