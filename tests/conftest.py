"""Fixtures that more than one test file uses."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dev_clips() -> Path:
    """The folder of real clips: $MASKVFI_CLIPS/dev, or shared/clips/dev beside the repository."""
    root = Path(os.environ.get("MASKVFI_CLIPS") or Path(__file__).parents[2] / "shared" / "clips")
    if not (root / "dev").is_dir():
        pytest.skip(f"there are no real clips in {root}; set MASKVFI_CLIPS")
    return root / "dev"
