"""Muon: an optimiser whose steps are orthogonal, so that a filter learns all its directions at the same pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Move = Callable[[Tensor, dict[str, Any]], Tensor]
RATIO = 13.0  # learning rate of filters, over that of biases, which AdamW moves


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for the filters of convolutions, AdamW for all else.

    All else is biases, PReLU slopes, transposed convolutions, and filters with one output.

    A filter [out,in,h,w] counts as a matrix [out,in*h*w]. Its momentum is made orthogonal by Newton-Schulz steps and
    scaled by sqrt(max(1, rows/columns)). torch.optim.Muon takes matrices only.
    """

    def __init__(self, network: nn.Module, rate: float, weight_decay: float) -> None:
        """Take a network's parameters.

        Args:
            network: Whose parameters move.
            rate: The learning rate of AdamW; a group's "ratio" says how many times as fast its members learn.
            weight_decay: Of all parameters, as AdamW has it.
        """
        filters: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        inner = {m.weight for m in network.modules() if isinstance(m, nn.Conv2d) and m.out_channels > 1}
        for parameter in network.parameters():
            (filters if parameter in inner else rest).append(parameter)
        groups: list[dict[str, Any]] = [{"params": filters, "ratio": RATIO}, {"params": rest, "ratio": 1.0}]
        super().__init__(groups, {"lr": rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        moves: tuple[Move, Move] = (self._filter, self._adam)
        for group, move in zip(self.param_groups, moves, strict=True):
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(move(parameter.grad, self.state[parameter]), alpha=group["lr"])

    @staticmethod
    def _filter(gradient: Tensor, state: dict[str, Any], momentum: float = 0.95) -> Tensor:
        if not state:
            state["mean"] = torch.zeros_like(gradient)
        state["mean"].mul_(momentum).add_(gradient)
        matrix = gradient.add(state["mean"], alpha=momentum).flatten(1)
        scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        return scale * orthogonal(matrix).view_as(gradient)

    @staticmethod
    def _adam(gradient: Tensor, state: dict[str, Any], betas: tuple[float, float] = (0.9, 0.99)) -> Tensor:
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(gradient), "power": torch.zeros_like(gradient)}
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - betas[0])
        state["power"].lerp_(gradient.square(), 1 - betas[1])
        mean, power = (
            state[k] / (1 - beta ** state["step"]) for k, beta in zip(("mean", "power"), betas, strict=True)
        )
        return mean / (power.sqrt() + 1e-8)


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix whose rows, or columns, are orthonormal: Newton-Schulz with Jordan et al.'s quintic.

    Args:
        matrix: [R,C].
        steps: Of Newton and Schulz.

    Returns:
        [R,C], with singular values of about 0.7 to 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x
