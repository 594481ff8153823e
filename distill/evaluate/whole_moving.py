"""Real footage in which everything moves: a pixel is wrong that a mask calls still and trusted flows see moving.

Gaps in which something stands still are left out. There flows are not to be trusted: from what moves they spread over
the plain road beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Bools, Floats, Image
from distill.data.clips import find_clips
from distill.data.dis import search
from distill.data.labels import MOST_SLOW, SLOW
from distill.data.teachers import Rife
from distill.data.tensors import as_batch, grey
from distill.evaluate.cases import SIDE
from distill.evaluate.footage import Footage
from maskvfi.options import DEFAULT_VFI

SPEED = 2.0  # px per gap
LIKENESS = 12.0  # code values by which a warped frame may differ from the other, mean over 5x5 px
RUNS = 12  # places in a clip


@dataclass(frozen=True, slots=True)
class MovingGap:
    """Two neighbouring frames of a clip.

    Attributes:
        clip: Its file's name.
        frames: Two pictures [S,S,3].
        moving: [S,S], the pixels that trusted flows see moving.
    """

    clip: str
    frames: list[Image]
    moving: Bools


def moving_gaps(clips: Path, seed: int, weights: str = DEFAULT_VFI) -> Iterator[MovingGap]:
    """Gaps in which everything moves, with the pixels that trusted flows see moving by more than SPEED.

    Args:
        clips: The folder.
        seed: Equal seeds give equal gaps.
        weights: The RIFE weights that have to agree with DIS.

    Raises:
        ValueError: The folder holds no video, or one that cannot be read.
    """
    teacher = Rife(weights, "cpu", times=(0.5,))
    for number, clip in enumerate(find_clips(clips)):
        footage = Footage(clip, SIDE, np.random.default_rng((seed, number, 2)), textures=1, runs=RUNS)
        for first, second, *_ in footage.runs:
            if whole_moving(first, second):
                yield MovingGap(clip.path.name, [first, second], trusted_motion(first, second, teacher))


def whole_moving(first: Image, second: Image) -> bool:
    """Whether DIS, in both directions, sees nearly everything move between two frames [H,W,3]."""
    grey0, grey1 = grey(first), grey(second)
    speeds = [np.hypot(*search(*pair)) for pair in ((grey0, grey1), (grey1, grey0))]
    return bool((np.minimum(*speeds) < SLOW).mean() < MOST_SLOW)


def trusted_motion(first: Image, second: Image, teacher: Rife) -> Bools:
    """Where [H,W] flows agree that a pixel of both frames [H,W,3] moves by more than SPEED.

    DIS in one direction must lead back in the other, and to a pixel that looks alike. RIFE's flow from the middle of
    the gap must be as long and go the same way, in both directions.

    Args:
        first, second: The frames.
        teacher: RIFE weights, whose flow is from the time 0.5.
    """
    grey0, grey1 = grey(first), grey(second)
    ahead, back = search(grey0, grey1), search(grey1, grey0)
    to0, to1 = np.split(teacher.motion(as_batch([first]), as_batch([second])).flows[0, 0].numpy(), 2)
    alike = _agrees(ahead, 2 * to1) & _agrees(back, 2 * to0)
    fast = np.min([np.hypot(*flow) for flow in (ahead, back, 2 * to0, 2 * to1)], axis=0) > SPEED
    return alike & fast & _leads_back(grey0, grey1, ahead, back) & _leads_back(grey1, grey0, back, ahead)


def _agrees(flow: Floats, other: Floats) -> Bools:
    agrees: Bools = np.hypot(*(flow - other)) < 1 + 0.25 * np.hypot(*flow)
    return agrees


def _leads_back(start: Image, end: Image, flow: Floats, other: Floats) -> Bools:
    """Where [H,W] a flow leads to a pixel that looks alike and whose own flow leads back."""
    height, width = start.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    x, y = grid + flow

    def there(plane: Floats | Image) -> Floats:
        return cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    round_trip = np.hypot(*(flow + np.stack([there(np.ascontiguousarray(part)) for part in other])))
    likeness = cv2.blur(cv2.absdiff(there(end), start).astype(np.float32), (5, 5))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    good: Bools = (round_trip < 0.5 + 0.1 * np.hypot(*flow)) & (likeness < LIKENESS) & inside
    return good
