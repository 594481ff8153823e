"""The estimate that RIFE's blocks refine one after another, and the planes that the next block reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.ops.warp import BILINEAR, backward_warp


class BlockOutput(NamedTuple):
    """The output of one block, on its own grid.

    Attributes:
        flow: [B,4,h,w] in px, to be added to that of earlier blocks.
        logit: [B,1,h,w], of the blend.
        features: [B,C,h,w] for the next block, or None.
        factor: How many px lie between neighbouring cells of the grid.
    """

    flow: Tensor
    logit: Tensor
    features: Tensor | None
    factor: float

    def reversed(self) -> BlockOutput:
        """The same with the two frames exchanged."""
        flow = torch.cat(self.flow.split(2, dim=1)[::-1], dim=1)
        return BlockOutput(flow, -self.logit, self.features, self.factor)

    def mean(self, other: BlockOutput) -> BlockOutput:
        """The average of two outputs, without features."""
        return BlockOutput((self.flow + other.flow) / 2, (self.logit + other.logit) / 2, None, self.factor)

    def exceeds(self, limit: float) -> bool:
        """Whether both halves of the flow are longer than `limit` px anywhere in the batch, in x or y.

        So a pair's frame depends on the others of its batch, as in the published network.
        """
        flow = _resize(self.flow.detach(), self.factor)
        return all(float(half.abs().max()) > limit for half in flow.split(2, dim=1))


class Stage:
    """The estimate after some blocks, at padded size. Everything is computed when it is first used.

    Attributes:
        planes: Both frames [B,3+E,H,W]: their colours, and the E planes of the encoder.
        parts: The outputs of the blocks so far.
        add: Whether blend logits are summed over the blocks; otherwise the last one counts.
        sampling: How `warped` reads colours between pixels, see `backward_warp`.
    """

    def __init__(
        self,
        planes: tuple[Tensor, Tensor],
        parts: tuple[BlockOutput, ...],
        add: bool,
        sampling: str = BILINEAR,
    ) -> None:
        self.planes, self.parts, self.add, self.sampling = planes, parts, add, sampling
        # Not functools.cached_property, whose lock torch.compile cannot trace.
        self._flow: Tensor | None = None
        self._logit: Tensor | None = None
        self._warped: tuple[Tensor, Tensor] | None = None
        self._before: Tensor | None = None  # full-size flow of all parts but the last

    def refined(self, part: BlockOutput) -> Stage:
        """The estimate after another block."""
        stage = self._with(self.planes, (*self.parts, part))
        stage._before = self._flow
        return stage

    def enlarged(self, planes: tuple[Tensor, Tensor], factor: int) -> Stage:
        """The same estimate for `planes`, which are `factor` times as large as its own."""
        if factor == 1:
            return self
        whole = BlockOutput(self.flow * factor, self.logit, None, factor)
        return self._with(planes, (whole,))

    def reversed(self) -> Stage:
        """The same estimate with the two frames exchanged."""
        parts = tuple(part.reversed() for part in self.parts)
        return self._with((self.planes[1], self.planes[0]), parts)

    def _with(self, planes: tuple[Tensor, Tensor], parts: tuple[BlockOutput, ...]) -> Stage:
        return type(self)(planes, parts, self.add, self.sampling)

    @property
    def flow(self) -> Tensor:
        """[B,4,H,W] in px, the sum over the blocks."""
        if self._flow is None:
            last = _resize(self.parts[-1].flow, self.parts[-1].factor)
            before = self._before
            if before is None and len(self.parts) > 1:
                before = _sum(_resize(part.flow, part.factor) for part in self.parts[:-1])
            self._flow = last if before is None else before + last
        return self._flow

    @property
    def logit(self) -> Tensor:
        """[B,1,H,W], of the blend."""
        if self._logit is None:
            self._logit = _sum(_resize(part.logit, part.factor) for part in self._logits())
        return self._logit

    @property
    def warped(self) -> tuple[Tensor, Tensor]:
        """Both frames [B,3,H,W], warped along the flow."""
        if self._warped is None:
            halves = zip(self.planes, self.flow.split(2, dim=1), strict=True)
            first, second = (backward_warp(x[:, :3], flow, sampling=self.sampling) for x, flow in halves)
            self._warped = first, second
        return self._warped

    def frame(self) -> Tensor:
        """[B,3,H,W], the warped frames blended."""
        return torch.lerp(*self.warped[::-1], torch.sigmoid(self.logit))

    def block_input(self, scale: float) -> tuple[list[Tensor], list[Tensor]]:
        """The input of a block that shrinks its input by `scale`, at that size.

        The networks are trained on full-size planes shrunk bilinearly. By an even factor that reads the four pixels
        around the middle of each cell and no others, so only these are computed. Outputs of coarser blocks are
        linear between these four, so their mean is the value in the middle of the cell.

        Args:
            scale: px per cell.

        Returns:
            The planes of both frames, warped, each [B,3+E,h,w]; and the blend logit, the features and the flow in
            cells, each [B,C,h,w], which the first block does not have.
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
        frames = [_resize(x, 1 / 2 if sparse else 1 / scale) for x in frames]
        known = [_sum(self._at(part.logit, part.factor, scale) for part in self._logits())]
        last = self.parts[-1]
        if last.features is not None:
            known.append(self._at(last.features, last.factor, scale))
        if scale == 1:
            known.append(self.flow)
        else:
            known.append(_sum(self._at(part.flow, part.factor, scale) for part in self.parts) / scale)
        return frames, known

    def _logits(self) -> tuple[BlockOutput, ...]:
        """The parts whose logits count."""
        return self.parts if self.add else self.parts[-1:]

    @staticmethod
    def _at(x: Tensor, factor: float, scale: float) -> Tensor:
        """Planes on a grid `factor` px apart, as a block at `scale` reads them: enlarged to full size, then shrunk."""
        if scale == 1 or (scale % 2 == 0 and factor != scale):
            return _resize(x, factor / scale)
        return _resize(_resize(x, factor), 1 / scale)


def shrunk(x: Tensor, factor: int) -> Tensor:
    """Planes [B,C,H,W] shrunk by a power of two; each cell is the mean of its pixels."""
    return x if factor == 1 else shrunk(_resize(x, 1 / 2), factor // 2)  # faster than a pooling


def _resize(x: Tensor, factor: float) -> Tensor:
    """Bilinear interpolation to `factor` times the size."""
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _sum(terms: Iterable[Tensor]) -> Tensor:
    """The sum without the 0 that `sum` starts from."""
    first, *rest = terms
    for term in rest:
        first = first + term
    return first


def _middles(x: Tensor, scale: int) -> Tensor:
    """Planes [B,C,H,W] shrunk bilinearly by an even factor: the mean of the four pixels in the middle of each cell."""
    before, after = (slice(scale // 2 - 1 + k, None, scale) for k in (0, 1))
    rows = x[:, :, before] + x[:, :, after]
    return (rows[..., before] + rows[..., after]) / 4


def _around_middles(x: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """The rows and columns of x [B,C,H,W] that hold the four pixels in the middle of each cell, in order."""
    rows, columns = (
        (torch.arange(0, size, scale, device=x.device)[:, None] + scale // 2 - 1)
        .add(torch.arange(2, device=x.device))
        .flatten()
        for size in x.shape[-2:]
    )
    return rows, columns


def _sampled(x: Tensor, factor: float, rows: Tensor, columns: Tensor) -> Tensor:
    """`_resize(x, factor)` at the given rows and columns only."""
    for dim, places in ((2, rows), (3, columns)):
        last = x.shape[dim] - 1
        source = ((places + 0.5) / factor - 0.5).clamp(0, last)
        below = source.floor().long()
        part = (source - below).view(-1, 1) if dim == 2 else source - below
        x = torch.lerp(x.index_select(dim, below), x.index_select(dim, (below + 1).clamp(max=last)), part)
    return x
