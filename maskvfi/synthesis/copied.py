"""Which pixels are copied, and which show the nearer frame: from the mask network's probabilities to decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.ops.bands import in_bands
from maskvfi.ops.boxes import known_empty
from maskvfi.options import FrameOptions

# A pixel is replaced where the probability is over LIKELY and within NEAR px of a place where it is over SURELY.
SURELY, LIKELY = 0.997, 0.5
NEAR = 12  # px
# It is confirmed if the gap before or after has a still pixel within AROUND px, or both copy one within STEADY px.
AROUND = 8  # px
STEADY = 3  # px


class Copied(NamedTuple):
    """How a gap's pixels are copied.

    Attributes:
        weight: [B,1,H,W] in 0..1, how far each pixel is copied from the frames; the rest of it is warped.
        replaced: [B,1,H,W], 1 where its content was replaced in place, else 0: it shows the nearer frame. None if this
            is not known.
    """

    weight: Tensor
    replaced: Tensor | None = None

    @property
    def still(self) -> Tensor:
        """[B,1,H,W] in 0..1, how far each pixel is copied because it stands still."""
        return self.weight if self.replaced is None else self.weight * (1 - self.replaced)

    def each(self, work: Callable[[Tensor], Tensor]) -> Copied:
        """The same with `work` done to both tensors."""
        return Copied(work(self.weight), None if self.replaced is None else work(self.replaced))


def still_weight(
    probability: Tensor,
    threshold: float = FrameOptions.threshold,
    feather: float = FrameOptions.feather,
    protect: Tensor | None = None,
    release: Tensor | None = None,
) -> Tensor:
    """How far each pixel is copied: 1 above the threshold, 0 below, a smooth step between.

    Args:
        probability: [B,1,H,W], that a pixel stands still.
        threshold: The probability in the middle of the step.
        feather: The step's length to either side of it. Near 0 and 1 it is shorter, so that the step ends at a
            probability that occurs.
        protect, release: [1,1,H,W] in 0..1, painted masks. Where protect is 1 pixels are always copied, where release
            is 1 always warped. They win over the probability, and release wins over protect.

    Returns:
        [B,1,H,W] in 0..1.
    """
    room = min(threshold, 1 - threshold)
    feather = min(feather, room * (0.6 + 0.8 * room))
    x = ((probability - threshold) / max(2 * feather, 1e-6) + 0.5).clamp(0, 1)
    weight = x * x * (3 - 2 * x)
    if protect is not None:
        weight = torch.maximum(weight, protect)
    if release is not None:
        weight = torch.minimum(weight, 1 - release)
    return weight


def copied_pixels(
    still: Tensor,
    replaced: Tensor | None,
    threshold: float = FrameOptions.threshold,
    feather: float = FrameOptions.feather,
    protect: Tensor | None = None,
    release: Tensor | None = None,
) -> Copied:
    """How far each pixel is copied because it stands still, and which pixels show the nearer frame.

    A pixel counts as replaced where this is likelier than standing still, in squares of 3x3 px where it is likely, near
    such squares where it is nearly certain (hysteresis, as in Canny, 1986): single pixels are more often fast texture
    than digits. There is no step between: the frame shows one content or the other, and never both.

    Args:
        still, replaced: [B,1,H,W], the probabilities; replaced is None if it is not known.
        threshold, feather, protect, release: As `still_weight` takes them.

    Returns:
        How far each pixel is copied, and which show the nearer frame, each [B,1,H,W].
    """
    work = partial(_copied_rows, threshold=threshold, feather=feather)
    weight, other = in_bands(work, (still, replaced, protect, release), NEAR + 4, 1)
    assert weight is not None
    return Copied(weight, other)


def _copied_rows(
    still: Tensor,
    replaced: Tensor | None,
    protect: Tensor | None,
    release: Tensor | None,
    threshold: float,
    feather: float,
) -> Copied:
    """`copied_pixels` for some rows."""
    weight = still_weight(still, threshold, feather, protect, release)
    if replaced is None:
        return Copied(weight)
    sure = replaced > SURELY
    if known_empty(sure):
        return Copied(weight, torch.zeros_like(weight))
    near, likely = _grown(_eroded(sure, 1), NEAR), _grown(_eroded(replaced > LIKELY, 1), 1)
    chosen = near & likely & (replaced > still)
    for painted in (protect, release):
        if painted is not None:
            chosen &= painted < 0.5
    other = chosen.to(weight.dtype)
    weight = torch.maximum(weight, other)
    return Copied(weight if release is None else torch.minimum(weight, 1 - release), other)


def drop_unconfirmed(gaps: Sequence[Copied], protect: Tensor | None = None) -> list[Copied]:
    """Warp replaced pixels that no neighbouring gap confirms. A single gap is left as it is.

    Digits change on a panel, and before or after the change they stand still with it. In fast motion nothing does. So
    replaced pixels count where something stands still near them in the gap before or after, or where they are copied in
    both: a clock may change in every gap.

    Args:
        gaps: Of consecutive gaps, as `copied_pixels` returns them.
        protect: As `still_weight` takes it.

    Returns:
        The same gaps; pixels that no longer count are warped, as far as they are not protected.
    """
    return [
        _drop_unconfirmed(gap, [*gaps[max(k - 1, 0) : k], *gaps[k + 1 : k + 2]], protect)
        for k, gap in enumerate(gaps)
    ]


def _drop_unconfirmed(gap: Copied, beside: list[Copied], protect: Tensor | None) -> Copied:
    """One of the gaps of `drop_unconfirmed`, given those before and after it."""
    if gap.replaced is None or not beside or known_empty(gap.replaced):
        return gap
    still = torch.stack([each.still > 0.5 for each in beside]).any(dim=0)
    again = torch.stack([_grown(each.weight > 0.5, STEADY) for each in beside]).all(dim=0)
    counts = _grown(still, AROUND) | again
    replaced = gap.replaced * counts
    below = gap.weight.new_zeros(()) if protect is None else protect.to(gap.weight.dtype)
    return Copied(
        torch.where(gap.replaced > replaced, torch.minimum(below, gap.weight), gap.weight), replaced
    )


def _eroded(found: Tensor, by: int) -> Tensor:
    """The pixels of a set [B,1,H,W] whose squares of 2*by+1 px lie in it, as far as they lie in the picture."""
    return ~_grown(~found, by)


def _grown(found: Tensor, by: int) -> Tensor:
    """The squares of 2*by+1 px around the pixels of a set [B,1,H,W]."""
    for dim in (-1, -2):
        reach, size = 0, found.shape[dim]
        while reach < by:
            step = min(reach + 1, by - reach)
            padded = F.pad(found, (step, step) if dim == -1 else (0, 0, step, step))
            found = padded.narrow(dim, 0, size) | found | padded.narrow(dim, 2 * step, size)
            reach += step
    return found
