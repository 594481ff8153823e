"""Frames in tiles: every px is covered, nothing jumps at a seam, and the frame is nearly that of the whole."""

import pytest
import torch
import torch.nn.functional as F

import maskvfi
from maskvfi.ops.boxes import Box
from maskvfi.ops.tiles import MARGIN, MIN_PIXELS, pixels_at_once, tiles


@pytest.mark.parametrize(
    ("height", "width", "most"),
    [(2160, 3840, 1 << 21), (700, 900, 300_000), (64, 9000, 200_000), (40, 30, 1)],
)
def test_tiles_cover_the_box_and_overlap(height, width, most):
    box = Box(16, 32, 16 + height, 32 + width)
    found = tiles(box, most, 32)
    painted = torch.zeros(height + 16, width + 32)
    for tile in found:
        assert tile.box.top >= 16
        assert tile.box.left >= 32
        assert (tile.box.top - 16) % 32 == (tile.box.left - 32) % 32 == 0
        share = tile.share(painted)
        assert 0 < share.min() <= share.max() == 1
        new = tile.box.of(painted)
        assert ((share == 1) | (new > 0)).all()  # fades in over earlier tiles alone
        new.copy_(torch.ones(1))
        if most > MIN_PIXELS:
            assert tile.box.area <= most
        if len(found) > 1:
            assert all(overlap == 0 or overlap >= 2 * MARGIN for overlap in (tile.top, tile.left))
    assert box.of(painted).min() == 1


def test_a_small_box_is_one_tile():
    assert [tile.box for tile in tiles(Box(0, 0, 90, 70), 10_000)] == [Box(0, 0, 90, 70)]
    assert pixels_at_once(torch.device("cpu")) > 1920 * 1080


@pytest.mark.parametrize("multiple", [512, 2048])
def test_tiles_end_where_a_multiple_leaves_no_smaller_ones(multiple):
    found = tiles(Box(0, 0, 2160, 3840), MIN_PIXELS, multiple)
    assert max(tile.box.right - tile.box.left for tile in found) <= multiple + 2 * MARGIN


def test_a_side_in_pixels_or_off_is_taken_at_its_word():
    cpu = torch.device("cpu")
    assert pixels_at_once(cpu, 1024) == 1024 * 1024
    assert len(tiles(Box(0, 0, 4320, 7680), pixels_at_once(cpu, "off"))) == 1


@pytest.mark.parametrize("mask", [None, "static-s"])
def test_the_frame_is_nearly_that_of_the_whole(mask):
    random = torch.Generator().manual_seed(0)
    small = torch.rand(1, 3, 40, 60, generator=random)
    sheet = F.interpolate(small, (640, 960), mode="bicubic").clamp(0, 1)
    img0, img1 = (sheet[..., 40:600, 40 + x : 840 + x].clone() for x in (6, 0))
    panel = F.interpolate(torch.rand(1, 3, 20, 75, generator=random), (80, 300))
    for image in (img0, img1):
        image[..., :80, :300] = panel  # stands still
    whole = maskvfi.Interpolator(mask=mask, device="cpu", runtime="torch")
    cut = maskvfi.Interpolator(mask=mask, device="cpu", runtime="torch")
    cut.at_once = 200_000
    assert len(tiles(Box(0, 0, 560, 800), cut.at_once)) > 3
    expected, made = (interpolator(img0, img1, 0.5) for interpolator in (whole, cut))
    assert (made - expected).abs().mean() < 2e-3
    if mask is None:
        assert (made - expected).diff(dim=-1).abs().amax() < 0.08  # no seam
    else:
        inside = (..., slice(8, 60), slice(8, 250))
        kept = [(frame[..., :80, :300] - panel)[inside].abs().mean() for frame in (made, expected)]
        assert kept[0] < kept[1] + 2e-3
        assert kept[0] < 0.02
