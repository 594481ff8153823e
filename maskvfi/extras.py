"""Optional packages: the command that adds them to the environment that this process runs in."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path


def install_command(extra: str) -> str:
    """The command that installs an extra's packages.

    Args:
        extra: The extra's name, as pyproject.toml has it.

    Returns:
        A line for a shell. It names the packages themselves, since maskvfi may have come from a clone or a file.
    """
    try:
        listed = requires("maskvfi") or []
    except PackageNotFoundError:  # a copy of the source that nobody has installed
        return f"pip install 'maskvfi[{extra}]'"
    parts = (line.replace('"', "'").split(";") for line in listed)
    mark = f"extra == '{extra}'"
    packages = " ".join(f"'{name.strip()}'" for name, *rest in parts if any(mark in part for part in rest))
    if Path(sys.prefix, "pipx_metadata.json").is_file():
        return f"pipx inject maskvfi {packages}"
    if Path(sys.prefix, "uv-receipt.toml").is_file():
        return f"uv pip install --python {sys.executable} {packages}"
    return f"pip install {packages}"
