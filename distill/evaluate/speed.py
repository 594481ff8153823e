"""What networks cost: parameters, operations, seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from distill.evaluate.tables import console_table


@dataclass(frozen=True, slots=True)
class Cost:
    """What one pair of frames costs, both of them encoded anew.

    Attributes:
        name: The network's.
        parameters: How many it has.
        gflop: Billions of operations of its convolutions; a multiplication and an addition count as two.
        seconds: On this machine, in the faster of torch's two layouts of tensors.
    """

    name: str
    parameters: int
    gflop: float
    seconds: float


def measure_cost(networks: Mapping[str, nn.Module], width: int, height: int, repeats: int = 3) -> list[Cost]:
    """Measure networks on the CPU, in float32.

    Args:
        networks: By name; each takes two frames [1,3,H,W].
        width, height: Of the frames in px.
        repeats: Runs, of which the fastest counts; one that does not count goes before.
    """
    pair = torch.rand(1, 3, height, width), torch.rand(1, 3, height, width)
    costs = []
    for name, network in networks.items():
        with torch.inference_mode():
            with FlopCounterMode(display=False) as counter:
                network(*pair)
            seconds = []
            for layout in (torch.contiguous_format, torch.channels_last):
                network.to(memory_format=layout)  # type: ignore[call-overload]
                for _ in range(repeats):
                    since = time.perf_counter()
                    network(*pair)
                    seconds.append(time.perf_counter() - since)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        costs.append(Cost(name, parameters, counter.get_total_flops() / 1e9, min(seconds)))
    return costs


def cost_table(costs: list[Cost], width: int, height: int) -> Table:
    """The costs as a table for the console, with the size of the frames in its title."""
    title = f"{width}x{height}, CPU float32, {torch.get_num_threads()} threads, the faster layout"
    headers = ("weights", "parameters", "GFLOP of convolutions", "seconds")
    rows = [[c.name, f"{c.parameters:,}", f"{c.gflop:.1f}", f"{c.seconds:.2f}"] for c in costs]
    return console_table(title, [(header, "left") for header in headers], rows)
