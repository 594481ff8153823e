"""An estimate on its way from block to block: what blocks added, and what the next one reads, computed sparsely."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.ops.warp import backward_warp


class Part(NamedTuple):
    """What one block adds, on its own grid, `factor` px apart: flow [B,4,h,w] in px, blend logit, features."""

    flow: Tensor
    logit: Tensor
    features: Tensor | None
    factor: float

    def reversed(self) -> Part:
        """The same seen from frame 1 to frame 0."""
        flow = torch.cat(self.flow.split(2, dim=1)[::-1], dim=1)
        return Part(flow, -self.logit, self.features, self.factor)

    def mean(self, other: Part) -> Part:
        return Part((self.flow + other.flow) / 2, (self.logit + other.logit) / 2, None, self.factor)

    def exceeds(self, limit: float) -> bool:
        flow = _resize(self.flow, self.factor)
        return all(float(half.abs().max()) > limit for half in flow.split(2, dim=1))


class Stage:
    """The estimate after some blocks, at padded size; what nobody asks for is not computed.

    flow [B,4,H,W] in px and blend logit [B,1,H,W] are sums over the blocks' parts (of logits the last one counts
    unless `add`), warped both frames [B,3,H,W] moved by it, frame() their blend.
    """

    def __init__(self, planes: tuple[Tensor, Tensor], parts: tuple[Part, ...], add: bool) -> None:
        self.planes, self.parts, self.add = planes, parts, add
        # Made when first asked for; functools.cached_property has a lock, which torch.compile cannot enter.
        self._flow: Tensor | None = None
        self._logit: Tensor | None = None
        self._warped: tuple[Tensor, Tensor] | None = None
        self._before: Tensor | None = None  # full-size flow of all parts but the last, if there was one

    def refined(self, part: Part) -> Stage:
        stage = type(self)(self.planes, (*self.parts, part), self.add)
        stage._before = self._flow
        return stage

    def reversed(self) -> Stage:
        """The same estimate seen from frame 1 to frame 0."""
        parts = tuple(part.reversed() for part in self.parts)
        return type(self)((self.planes[1], self.planes[0]), parts, self.add)

    @property
    def flow(self) -> Tensor:
        if self._flow is None:
            last = _resize(self.parts[-1].flow, self.parts[-1].factor)
            before = self._before
            if before is None and len(self.parts) > 1:
                before = _sum(_resize(part.flow, part.factor) for part in self.parts[:-1])
            self._flow = last if before is None else before + last
        return self._flow

    @property
    def logit(self) -> Tensor:
        if self._logit is None:
            self._logit = _sum(_resize(part.logit, part.factor) for part in self._logits())
        return self._logit

    @property
    def warped(self) -> tuple[Tensor, Tensor]:
        if self._warped is None:
            halves = zip(self.planes, self.flow.split(2, dim=1), strict=True)
            first, second = (backward_warp(x[:, :3], flow) for x, flow in halves)
            self._warped = first, second
        return self._warped

    def frame(self) -> Tensor:
        return torch.lerp(*self.warped[::-1], torch.sigmoid(self.logit))

    def seen(self, scale: float) -> tuple[list[Tensor], list[Tensor]]:
        """What a block that shrinks its input by `scale` reads, at that size: both warped frames' planes; and
        logit, features and flow, in its own pixels, once there are any.

        The networks are trained on full-size planes shrunk bilinearly, which by an even factor reads the four pixels
        around a cell's middle and nothing else: so only these are made. What blocks said on coarser grids is linear
        between these four, so that their mean is its value in the cell's middle.
        """
        sparse = scale % 2 == 0
        if not self.parts:
            return [_middles(x, int(scale)) if sparse else _resize(x, 1 / scale) for x in self.planes], []
        at: tuple[Tensor, ...] = ()
        if sparse and scale > 2:
            at = _around_middles(self.planes[0], int(scale))
            flow = _sum(_sampled(part.flow, part.factor, *at) for part in self.parts)
        else:
            flow = self.flow
        frames = [
            backward_warp(x, half, *at) for x, half in zip(self.planes, flow.split(2, dim=1), strict=True)
        ]
        frames = [F.avg_pool2d(x, 2) if sparse else _resize(x, 1 / scale) for x in frames]
        known = [_sum(self._at(part.logit, part.factor, scale) for part in self._logits())]
        last = self.parts[-1]
        if last.features is not None:
            known.append(self._at(last.features, last.factor, scale))
        if scale == 1:
            known.append(self.flow)
        else:
            known.append(_sum(self._at(part.flow, part.factor, scale) for part in self.parts) / scale)
        return frames, known

    def _logits(self) -> tuple[Part, ...]:
        return self.parts if self.add else self.parts[-1:]

    @staticmethod
    def _at(x: Tensor, factor: float, scale: float) -> Tensor:
        """Planes on a grid `factor` px apart as a block at `scale` sees them: made full-size, then shrunk."""
        if scale == 1 or (scale % 2 == 0 and factor != scale):
            return _resize(x, factor / scale)
        return _resize(_resize(x, factor), 1 / scale)


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    first, *rest = terms
    for term in rest:
        first = first + term
    return first


def _middles(x: Tensor, scale: int) -> Tensor:
    """Planes [B,C,H,W] shrunk bilinearly by an even factor: the mean of the four pixels in each cell's middle."""
    before, after = (slice(scale // 2 - 1 + k, None, scale) for k in (0, 1))
    rows = x[:, :, before] + x[:, :, after]
    return (rows[..., before] + rows[..., after]) / 4


def _around_middles(x: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """The rows and columns of x [B,C,H,W] that hold the four pixels in each cell's middle, in order."""
    rows, columns = (
        (torch.arange(0, size, scale, device=x.device)[:, None] + scale // 2 - 1)
        .add(torch.arange(2, device=x.device))
        .flatten()
        for size in x.shape[-2:]
    )
    return rows, columns


def _sampled(x: Tensor, factor: float, rows: Tensor, columns: Tensor) -> Tensor:
    """`_resize(x, factor)` at the pixels rows x columns alone."""
    for dim, places in ((2, rows), (3, columns)):
        last = x.shape[dim] - 1
        source = ((places + 0.5) / factor - 0.5).clamp(0, last)
        below = source.floor().long()
        part = (source - below).view(-1, 1) if dim == 2 else source - below
        x = torch.lerp(x.index_select(dim, below), x.index_select(dim, (below + 1).clamp(max=last)), part)
    return x
