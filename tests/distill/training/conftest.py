"""Fixtures of the training tests."""

from pathlib import Path

import pytest
import torch

from maskvfi.models.rife import IFNet, find_variant


@pytest.fixture(scope="session")
def official(tmp_path_factory) -> Path:
    """A checkpoint as Practical-RIFE publishes them: the 4.25 architecture at its real size, random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("rife") / "flownet.pkl"
    torch.save({f"module.{k}": v for k, v in IFNet(find_variant("4.25")).state_dict().items()}, path)
    return path
