"""What training runs store, compared."""

from pathlib import Path

import torch


def stored_alike(first: Path, second: Path) -> bool:
    """Whether the networks that two runs store, trained and averaged, are equal bit by bit."""
    a, b = (torch.load(run / "state.pt", weights_only=True) for run in (first, second))
    return all(
        torch.equal(a[part][name], b[part][name]) for part in ("network", "average") for name in a[part]
    )
