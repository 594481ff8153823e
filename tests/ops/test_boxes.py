"""Boxes around what moves: nothing is left out, nothing twice, and the picture is that of the whole."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import maskvfi
from maskvfi.ops.boxes import MARGIN, Box, moving_boxes


@settings(max_examples=60, deadline=None)
@example((161, 321), [(0.0, 0.25), (1.0, 0.5), (0.5, 0.0)], 1)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 600)),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6),
    st.sampled_from([1, 32, 42, 64, 128]),
)
def test_every_moving_pixel_lies_in_just_one_box_with_its_margin(size, places, multiple):
    height, width = size
    weight = torch.ones(1, 1, height, width)
    points = [(int(y * (height - 1)), int(x * (width - 1))) for y, x in places]
    for y, x in points:
        weight[..., y, x] = 0.5
    boxes = moving_boxes(weight, multiple)
    multiple = 16 * -(-multiple // 16)
    covered = torch.zeros(height, width, dtype=torch.int)
    for box in boxes:
        box.of(covered).add_(1)
        assert box.top % multiple == box.left % multiple == 0
        assert box.bottom % multiple == 0 or box.bottom == height
        assert box.right % multiple == 0 or box.right == width
    assert covered.max() <= 1
    for y, x in points:
        rows = slice(max(y - MARGIN + 16, 0), y + MARGIN - 16)
        assert covered[rows, max(x - MARGIN + 16, 0) : x + MARGIN - 16].all()
    assert bool(points) or not boxes


def test_a_picture_that_moves_nearly_everywhere_is_one_box():
    weight = torch.zeros(1, 1, 300, 500)
    weight[..., :40, :] = 1
    assert moving_boxes(weight, 64) == [Box(0, 0, 300, 500)]


@pytest.mark.parametrize("log2", [(0, 0), (1, 1), (2, 0)])
def test_a_box_cuts_chroma_planes_too(log2):
    x, y = log2
    plane = torch.arange((-(-70 >> y)) * (-(-90 >> x))).view(-(-70 >> y), -(-90 >> x))
    part = Box(64, 64, 70, 90).of(plane, log2)
    assert part.shape == (-(-70 >> y) - (64 >> y), -(-90 >> x) - (64 >> x))
    assert part[-1, -1] == plane[-1, -1]


def test_boxes_give_the_picture_of_the_whole():
    """The overlay's rim, a small mover and a still picture around it: computed in boxes or whole, it is the same."""
    torch.manual_seed(3)
    sheet = torch.nn.functional.interpolate(torch.rand(1, 3, 60, 80), (480, 640), mode="bicubic").clamp(0, 1)
    start, end = sheet.clone(), sheet.clone()
    start[..., 200:240, 300:340], end[..., 200:240, 308:348] = 0.9, 0.9
    still = torch.ones(480, 640)
    still[196:244, 296:352] = 0
    boxed = maskvfi.Interpolator(device="cpu", runtime="torch", protect=still, release=1 - still)
    view0, view1 = boxed.view(start), boxed.view(end)
    weight = boxed.weight(view0, view1)
    boxes = boxed.boxes(weight)
    assert sum(box.area for box in boxes) < 0.25 * 480 * 640
    whole = [Box(0, 0, 480, 640)]
    ours, full = (boxed.between(view0, view1, 0.5, b) for b in (boxes, whole))
    assert (ours - full)[..., still > 0].abs().max() == 0
    # A flat square is the worst case: what flow says inside it is a guess, which depends on how far it sees.
    assert (ours - full)[..., still == 0].abs().mean() < 0.03


def test_a_still_gap_computes_nothing():
    everything = maskvfi.Interpolator(device="cpu", runtime="torch", protect=torch.ones(64, 64))
    a, b = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    assert everything.boxes(everything.weight(everything.view(a), everything.view(b))) == []
    assert torch.allclose(everything(a, b, 0.25), torch.lerp(a, b, 0.25))
