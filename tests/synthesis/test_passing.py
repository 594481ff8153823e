"""A small thing that passes over still ground in one gap is seen half-way, and stays behind letters."""

from dataclasses import replace

import pytest
import torch

from maskvfi.models.base import Interpolation, Motion
from maskvfi.ops.boxes import Box
from maskvfi.ops.tiles import Tile
from maskvfi.synthesis.compose import MovingTile, blend_samples, compose, warped_samples
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.layouts import RGB, VideoLayout
from maskvfi.synthesis.passing import calm_cells, passing_things
from maskvfi.video.pixel_format import Colour, PixelFormat

HEIGHT, WIDTH = 96, 128
SIDE, SPEED = 8, 24  # px; the thing moves by three times its size
TOP, LEFT = 40, 40  # of the thing in frame 0
GROUND, THING, LETTER = 0.7, 0.1, 0.95
BOX = Box(16, 16, 80, 112)


def picture(time: float, *, letter: bool = False) -> torch.Tensor:
    """A dark square on light ground [1,3,H,W], and a white bar before it, where the square passes half-way."""
    frame = torch.full((1, 3, HEIGHT, WIDTH), GROUND)
    left = LEFT + round(SPEED * time)
    frame[..., TOP : TOP + SIDE, left : left + SIDE] = THING
    if letter:
        frame[..., TOP - 10 : TOP + 20, LEFT + 14 : LEFT + 18] = LETTER
    return frame


def still() -> torch.Tensor:
    """How far pixels are copied: where neither frame has the square. [1,1,H,W]"""
    return ((picture(0) == GROUND) & (picture(1) == GROUND))[:, :1].float()


def motion(time: float = 0.5) -> Motion:
    """What a perfect network says: the square moves, in BOX."""
    flow = torch.zeros(1, 4, HEIGHT, WIDTH)
    here = (picture(time) == THING)[:, :1].float()
    flow[:, :1], flow[:, 2:3] = -SPEED * time * here, SPEED * (1 - time) * here
    return Motion(BOX.of(flow), torch.full((1, 1, HEIGHT, WIDTH), 0.5)[..., 16:80, 16:112])


def passes(
    letter: bool = False,
    weight: torch.Tensor | None = None,
    time: float = 0.5,
    protect: torch.Tensor | None = None,
) -> torch.Tensor | None:
    frames, weight = [picture(t, letter=letter) for t in (0, 1)], still() if weight is None else weight
    samples = warped_samples(motion(time), *frames, weight, BOX)
    return passing_things(motion(time), samples, *frames, weight, calm_cells(weight), BOX, protect)


def thing(time: float = 0.5) -> torch.Tensor:
    return BOX.of(picture(time) == THING)[:, :1]


@pytest.mark.parametrize("time", [0.5, 0.375])
def test_a_thing_that_jumps_over_its_own_size_is_seen_on_its_way(time: float) -> None:
    found = passes(time=time)
    assert found is not None
    assert (found[thing(time)] == 1).all()
    assert found.sum() <= (SIDE + 4) ** 2


def test_a_thing_stays_behind_letters() -> None:
    found = passes(letter=True)
    letter = BOX.of(picture(0.5, letter=True) == LETTER)[:, :1]
    assert found is not None
    assert not found[letter].any()
    assert (found[thing() & ~letter] == 1).all()


def test_nothing_passes_where_most_moves() -> None:
    moving = torch.zeros(1, 1, HEIGHT, WIDTH)
    moving[..., TOP : TOP + SIDE, LEFT + SIDE : LEFT + SPEED] = (
        1  # copied: an overlay on a picture that moves
    )
    assert passes(weight=moving) is None


def test_nothing_passes_before_what_is_painted() -> None:
    protect = torch.zeros(1, 1, HEIGHT, WIDTH)
    protect[..., : TOP + 2, :] = 1
    found = passes(protect=protect)
    assert found is not None
    assert not found[BOX.of(protect) > 0].any()
    assert found.any()


def test_what_stands_still_with_the_ground_is_no_thing() -> None:
    assert passes(weight=torch.ones(1, 1, HEIGHT, WIDTH)) is None


@pytest.mark.parametrize("name", [None, "yuv420p", "yuva444p", "gbrp"])
def test_the_new_frame_shows_it(name: str | None) -> None:
    layout = RGB if name is None else VideoLayout(PixelFormat.parse(name), Colour("bt709", full_range=False))
    weight, found = still(), passes()
    frames = picture(0), picture(1)
    samples = warped_samples(motion(), *frames, weight, BOX)
    output = blend_samples(motion(), samples)
    planes = [[*layout.colour_planes(frame)] for frame in frames]
    if layout.opaque is not None:
        for each in planes:
            each.append(torch.full((HEIGHT, WIDTH), layout.opaque))
    before = weight.clone()
    shown, missing, expected = (
        part[0] if name else part[0][0, 0]
        for part in (
            compose(*planes, 0.5, [MovingTile(Tile(BOX), output, found)], Copied(weight), layout),
            compose(*planes, 0.5, [MovingTile(Tile(BOX), output)], Copied(weight), layout),
            layout.colour_planes(picture(0.5)),
        )
    )
    at = (picture(0.5) == THING)[0, 0]
    code = 1 if name else 1 / 255
    assert (missing - expected).abs()[at].min() > 100 * code
    assert (shown - expected).abs()[at].max() <= 2 * code
    assert torch.equal(weight, before)  # it is used for the gap's other times too


def test_no_plane_keeps_the_ground_where_a_thing_lies_half_on_moving_pixels() -> None:
    layout = VideoLayout(PixelFormat.parse("yuv420p"), Colour("bt709", full_range=False))
    weight, passing = torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    weight[..., :17], passing[..., 17:] = 0, 1
    ground, moving = torch.zeros(1, 3, 32, 32), torch.tensor([0.9, 0.2, 0.5]).view(1, 3, 1, 1)
    planes = layout.colour_planes(ground)
    shown = MovingTile(Tile(Box(0, 0, 32, 32)), Interpolation(moving.expand_as(ground)), passing)
    made = compose(planes, planes, 0.5, [shown], Copied(weight), layout)
    for plane, expected in zip(made, layout.colour_planes(moving.expand_as(ground)), strict=True):
        torch.testing.assert_close(plane, expected)


def test_single_pixels_are_no_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskvfi.synthesis.passing.FEWEST", SIDE**2)
    found = passes()
    assert found is not None
    assert not found.any()


def test_an_interpolator_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    interpolator = Interpolator("vfi-m", None, device="cpu", runtime="torch")
    views = [interpolator.view(picture(time)) for time in (0, 1)]
    gap = interpolator.gap(*views, still(), [BOX])
    assert gap.tiles[0][0].box == BOX
    monkeypatch.setattr(interpolator.vfi, "motion", lambda *_: motion())
    (tile,) = interpolator.moving(gap, 0.5)
    assert tile.passing is not None
    assert tile.passing[thing()].all()
    (tile,) = interpolator.moving(replace(gap, weight=None, calm=None), 0.5)
    assert tile.passing is None
