"""What was replaced in place shows the nearer frame, in every kind of planes, and nothing drags it along."""

import pytest
import torch

import maskvfi
from maskvfi.models.base import Motion
from maskvfi.models.static import Masks, StaticConfig
from maskvfi.ops.boxes import Box
from maskvfi.ops.tiles import Tile
from maskvfi.synthesis.compose import MovingTile, compose, moving_layer
from maskvfi.synthesis.copied import Copied, copied_pixels, drop_unconfirmed, still_weight
from maskvfi.synthesis.layouts import RGB, VideoLayout
from maskvfi.video.pixel_format import Colour, PixelFormat

CPU = {"device": "cpu", "runtime": "torch"}


def probabilities(*values: float) -> torch.Tensor:
    """[1,1,5,5*N], a square of 5x5 px for each value."""
    return torch.tensor(values).view(1, 1, 1, -1).repeat_interleave(5, 2).repeat_interleave(5, 3)


def squares(planes: torch.Tensor) -> list[float]:
    """The value in the middle of each square."""
    return planes[0, 0, 2, 2::5].tolist()


def test_a_pixel_is_replaced_where_that_is_likelier_than_standing_still():
    copied = copied_pixels(
        probabilities(0.0, 0.999, 0.3, 0.6, 0.45), probabilities(0.998, 0.998, 0.4, 0.998, 0.998)
    )
    assert squares(copied.replaced) == [1, 0, 0, 1, 1]
    assert squares(copied.weight) == pytest.approx([1, 1, 0, 1, 1])
    assert squares(copied.still) == pytest.approx([0, 1, 0, 0, 0])


def test_what_is_likely_is_replaced_near_a_square_that_is_certain_and_nowhere_else():
    found = torch.zeros(1, 1, 30, 90)
    found[..., 5:10, 5:10] = 0.998  # certain
    found[..., 5:8, 14:17] = 0.6  # likely, and near
    found[..., 12, 8] = 1.0  # a speck
    found[..., 5:7, 60:64] = 0.998  # too small
    copied = copied_pixels(torch.zeros_like(found), found).replaced
    expected = torch.zeros_like(found)
    expected[..., 5:10, 5:10] = expected[..., 5:8, 14:17] = 1
    assert torch.equal(copied, expected)


@pytest.mark.parametrize("edge", [0, 1, 2])
def test_a_square_in_the_corner_of_the_picture_needs_no_pixels_outside(edge):
    found = torch.zeros(1, 1, 20, 20)
    found[..., : 5 - edge, : 5 - edge] = 1
    copied = copied_pixels(torch.zeros_like(found), found).replaced
    assert torch.equal(copied, found)


def test_a_network_that_does_not_know_replaces_nothing():
    assert copied_pixels(probabilities(0.2, 0.9), None).replaced is None


def test_painted_masks_win_over_what_was_replaced():
    still, replaced = probabilities(0.0, 0.0, 0.0), probabilities(1.0, 1.0, 1.0)
    copied = copied_pixels(still, replaced, protect=probabilities(1, 0, 0), release=probabilities(0, 1, 0))
    assert squares(copied.replaced) == [0, 0, 1]
    assert squares(copied.weight) == [1, 0, 1]


def test_soft_painted_masks_keep_their_share_of_what_was_replaced():
    found = copied_pixels(probabilities(0.0), probabilities(1.0), release=probabilities(0.4))
    assert squares(found.weight) == pytest.approx([0.6])
    protect = probabilities(0.4)
    unsure = copied_pixels(probabilities(0.0), probabilities(1.0), protect=protect)
    moving = copied_pixels(probabilities(0.0), probabilities(0.0), protect=protect)
    assert squares(drop_unconfirmed([unsure, moving], protect)[0].weight) == pytest.approx([0.4])


@pytest.mark.parametrize("threshold", [0.03, 0.5, 0.97])
def test_what_is_certain_is_copied_or_warped_whole_at_every_threshold(threshold):
    weight = still_weight(probabilities(0.0, 0.005, 0.995, 1.0), threshold)
    assert squares(weight) == [0, 0, 1, 1]


def gap(still: tuple[int, int], replaced: tuple[int, int]) -> Copied:
    """A gap of one row: from where to where pixels stand still, and are replaced, in px."""
    at = torch.arange(128).expand(1, 1, 4, 128)
    first, other = (((at >= begins) & (at < ends)).float() for begins, ends in (still, replaced))
    return Copied(torch.maximum(first, other), other)


NOWHERE = (0, 0)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (gap((0, 64), NOWHERE), gap(NOWHERE, NOWHERE), True),  # it stood still
        (gap(NOWHERE, NOWHERE), gap((40, 96), NOWHERE), True),  # what is beside it stands still later
        (gap(NOWHERE, NOWHERE), gap((48, 96), NOWHERE), False),  # only what is further off
        (gap(NOWHERE, (33, 41)), gap(NOWHERE, (31, 37)), True),  # it changes in every gap
        (gap(NOWHERE, (32, 40)), gap(NOWHERE, NOWHERE), False),  # twice, and then all moves
    ],
)
def test_content_is_replaced_only_where_something_stands_before_or_after(before, after, kept):
    between = gap((0, 8), (32, 40))
    _, found, _ = drop_unconfirmed([before, between, after])
    assert torch.equal(found.still, between.still)
    assert torch.equal(found.replaced, between.replaced if kept else torch.zeros_like(between.replaced))
    assert drop_unconfirmed([between]) == [between]


@pytest.mark.parametrize("mode", ["fade", "nearest"])
@pytest.mark.parametrize(("time", "nearer"), [(0.25, 0), (0.49, 0), (0.5, 0), (0.75, 1)])
def test_replaced_pixels_are_those_of_the_nearer_frame(mode, time, nearer):
    frames = torch.rand(2, 1, 3, 16, 24)
    replaced = torch.zeros(1, 1, 16, 24)
    replaced[..., 12:] = 1
    weight = torch.ones_like(replaced)
    (out,) = compose((frames[0],), (frames[1],), time, [], Copied(weight, replaced), RGB, mode)
    assert torch.equal(out[..., 12:], frames[nearer][..., 12:])
    (plain,) = compose((frames[0],), (frames[1],), time, [], Copied(weight), RGB, mode)
    assert torch.equal(out[..., :12], plain[..., :12])


def test_the_moving_layer_does_not_show_where_content_was_replaced():
    frames = torch.rand(2, 1, 3, 16, 24)
    moving = maskvfi.Interpolation(torch.full((1, 3, 16, 24), 7.0), None)
    replaced = torch.zeros(1, 1, 16, 24)
    replaced[..., 12:] = 1
    tile = MovingTile(Tile(Box(0, 0, 16, 24)), moving)
    (out,) = compose((frames[0],), (frames[1],), 0.5, [tile], Copied(replaced, replaced), RGB)
    assert torch.equal(out[..., 12:], frames[0][..., 12:])
    assert (out[..., :12] == 7).all()


@pytest.mark.parametrize("name", ["yuv420p", "yuva420p", "gray", "yuv422p10le"])
def test_every_plane_of_a_video_shows_the_nearer_frame(name):
    layout = VideoLayout(PixelFormat.parse(name), Colour("bt709", full_range=False))
    sizes = [(16 >> y, 32 >> x) for x, y in layout.log2]
    start, end = ([torch.rand(size) * 200 for size in sizes] for _ in range(2))
    replaced = torch.ones(1, 1, 16, 32)
    for time, nearer in ((0.3, start), (0.7, end)):
        out = compose(start, end, time, [], Copied(replaced, replaced), layout)
        for plane, expected in zip(out, nearer, strict=True):
            torch.testing.assert_close(plane, expected)


def test_a_sample_of_replaced_content_is_hidden_from_what_moves():
    img0, img1 = torch.zeros(1, 3, 8, 32), torch.zeros(1, 3, 8, 32)
    img0[..., 16:], img1[..., 16:] = 1.0, 0.6
    copied = Copied((torch.arange(32) >= 16).float().expand(1, 1, 8, 32), None)
    flow = torch.zeros(1, 4, 8, 32)
    flow[:, 0] = 8.0
    dragged = moving_layer(Motion(flow, torch.full((1, 1, 8, 32), 0.5)), img0, img1, copied.weight)
    assert dragged.frame[..., 9:15].max() < 0.01


class Knowing(maskvfi.StaticMaskNet):
    """Says that the left half stands still, and that the right half was replaced."""

    def classify_between(self, features):
        height, width = features[0].size
        still = torch.zeros(1, len(features) - 1, height, width)
        still[..., : width // 2] = 1
        return Masks(still, 1 - still)


@pytest.mark.parametrize("at_once", [10**9, 2000])
def test_an_interpolator_follows_both_outputs_also_in_tiles(at_once):
    interpolator = maskvfi.Interpolator("blend", Knowing(StaticConfig(replaced=True)), **CPU)
    interpolator.at_once = at_once
    a, b = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96)
    view0, view1 = interpolator.view(a), interpolator.view(b)
    (copied,) = interpolator.copied([view0, view1])
    assert torch.equal(copied.weight, torch.ones(1, 1, 64, 96))
    if at_once > a.numel():
        assert copied.replaced[..., 48:].all()
        assert not copied.replaced[..., :48].any()
    assert interpolator.boxes(copied.weight) == []
    wins = copied.replaced.expand_as(a) > 0
    assert wins.any()
    assert torch.equal(interpolator(a, b, 0.3)[wins], a[wins])
    assert torch.equal(interpolator(a, b, 0.6)[wins], b[wins])
