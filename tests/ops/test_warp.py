"""Backward warping: where samples are read, and by which filter."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskvfi.ops.warp import BICUBIC, BILINEAR, backward_warp


def warped(picture: torch.Tensor, x: float, y: float, sampling: str) -> torch.Tensor:
    flow = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *picture.shape[-2:])
    return backward_warp(picture, flow, sampling=sampling)


@pytest.mark.parametrize(("sampling", "theirs"), [(BILINEAR, cv2.INTER_LINEAR), (BICUBIC, cv2.INTER_CUBIC)])
@pytest.mark.parametrize("move", [(0.25, -0.5), (-3.75, 2.125), (40.5, 0.0)])
def test_samples_are_those_of_opencv(sampling: str, theirs: int, move: tuple[float, float]):
    picture = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    ys, xs = np.mgrid[:24, :32].astype(np.float32)
    pixels = picture[0].permute(1, 2, 0).numpy()
    place = (xs + np.float32(move[0]), ys + np.float32(move[1]))
    expected = cv2.remap(pixels, *place, theirs, borderMode=cv2.BORDER_REPLICATE).clip(0, 1)
    found = warped(picture, *move, sampling)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_bicubic_samples_keep_fine_detail_that_bilinear_ones_blur():
    waves = 0.5 + 0.4 * torch.sin(torch.arange(64) * 2 * np.pi / 4).expand(1, 3, 16, 64)
    kept = {each: warped(waves, 0.5, 0, each)[..., 8:-8].std() / waves.std() for each in (BILINEAR, BICUBIC)}
    assert kept[BILINEAR] < 0.75
    assert kept[BICUBIC] > 0.85


def test_bicubic_samples_stay_colours_beside_an_edge():
    edge = (torch.arange(16) >= 8).float().expand(1, 3, 8, 16)
    found = warped(edge, 0.3, 0, BICUBIC)
    assert found.min() == 0
    assert found.max() == 1


@pytest.mark.parametrize("height", [16, 17, 2])
@pytest.mark.parametrize("sampling", [BILINEAR, BICUBIC])
def test_cores_share_a_picture_without_a_trace(height: int, sampling: str, monkeypatch: pytest.MonkeyPatch):
    numbers = torch.Generator().manual_seed(3)
    picture = torch.rand(1, 3, height, 40, generator=numbers)
    flow = 12 * torch.randn(1, 2, height, 40, generator=numbers)
    cut = []
    sample = F.grid_sample
    monkeypatch.setattr(F, "grid_sample", lambda x, *a, **k: cut.append(len(x)) or sample(x, *a, **k))
    found = {}
    for cores in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        with torch.inference_mode():
            found[cores] = backward_warp(picture, flow, sampling=sampling)
    assert cut == [1, min(4, height)]
    assert torch.equal(found[1], found[4])
