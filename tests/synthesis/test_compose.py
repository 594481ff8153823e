"""Clean layers: what moves does not drag along what stands still."""

import torch

from maskvfi.models.base import Motion
from maskvfi.ops.warp import BICUBIC, backward_warp
from maskvfi.synthesis.compose import moving_layer

SHIFT = 8  # px that the background moves per gap


def scene() -> tuple[torch.Tensor, ...]:
    """Both frames and the background half way [1,3,48,96], and the mask of a box that stands still on top."""
    sheet = torch.rand(1, 3, 48, 96 + SHIFT, generator=torch.Generator().manual_seed(5))
    box = torch.zeros(1, 1, 48, 96)
    box[..., 16:32, 40:52] = 1
    start, middle, end = (sheet[..., k : k + 96] for k in (0, SHIFT // 2, SHIFT))
    white = torch.ones_like(start)
    return torch.where(box > 0, white, start), torch.where(box > 0, white, end), middle, box


def exact(blend: float = 0.5) -> Motion:
    """What a perfect network says, of the background."""
    flow = torch.zeros(1, 4, 48, 96)
    flow[:, 0], flow[:, 2] = SHIFT / 2, -SHIFT / 2
    return Motion(flow, torch.full((1, 1, 48, 96), blend))


def test_the_sample_that_is_not_hidden_is_taken():
    img0, img1, middle, box = scene()
    clean = moving_layer(exact(), img0, img1, box)
    plain = moving_layer(exact(), img0, img1, torch.zeros_like(box))
    ring = torch.zeros(48, 96, dtype=torch.bool)
    ring[16:32, 40 - SHIFT // 2 : 40] = ring[16:32, 52 : 52 + SHIFT // 2] = True
    assert (plain.frame - middle).abs()[..., ring].mean() > 0.1
    assert (clean.frame - middle).abs()[..., ring].max() < 2e-3
    away = torch.ones(48, 96, dtype=torch.bool)
    away[15:33, 30:62] = False
    away[:, :SHIFT] = away[:, -SHIFT:] = False
    torch.testing.assert_close(clean.frame[..., away], plain.frame[..., away])


def test_the_blend_says_whose_sample_was_taken():
    img0, img1, _, box = scene()
    blend = moving_layer(exact(), img0, img1, box).blend[0, 0]
    assert blend[20, 53] > 0.99  # frame 1 shows the box there
    assert blend[20, 38] < 0.01
    assert blend[20, 10] == 0.5


def test_where_both_are_hidden_the_network_decides():
    img0, img1, *_ = scene()
    everywhere = torch.ones(1, 1, 48, 96)
    found = moving_layer(exact(0.3), img0, img1, everywhere).blend
    torch.testing.assert_close(found, exact(0.3).blend, atol=1e-5, rtol=0)


def test_the_layer_reads_colours_as_its_network_does():
    img0, img1, _, box = scene()
    motion = Motion(torch.full((1, 4, 48, 96), 0.4), torch.ones(1, 1, 48, 96), BICUBIC)
    sharp = moving_layer(motion, img0, img1, torch.zeros_like(box))
    expected = backward_warp(img0, motion.flow[:, :2], sampling=BICUBIC)
    torch.testing.assert_close(sharp.frame, expected, atol=1e-5, rtol=0)
    assert sharp.motion is not None
    assert sharp.motion.sampling == BICUBIC
    assert (
        moving_layer(motion._replace(sampling="bilinear"), img0, img1, box).frame - expected
    ).abs().max() > 0.1
