"""A narrow RIFE of two blocks with random weights, which is converted quickly, and frames for it."""

import dataclasses

import torch

from maskvfi.models.rife import IFNet, find_variant

CPU = torch.device("cpu")
NARROW = {"channels": (16, 8), "scales": (4, 1), "encoder_mid": 8}


def network() -> IFNet:
    torch.manual_seed(0)
    return IFNet(dataclasses.replace(find_variant("4.25"), **NARROW)).eval()


def frames(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    small = torch.rand(2 * batch, 3, height // 8 + 2, width // 8 + 2)
    sheet = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return sheet[:batch], sheet[batch:]
