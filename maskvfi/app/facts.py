"""What the page says of the videos that were dropped on it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from maskvfi.app.visitors import one_line
from maskvfi.video import open_source
from maskvfi.video.orientation import upright_info


def describe_videos(videos: Sequence[str]) -> tuple[str, list[int]]:
    """Describe videos.

    Args:
        videos: Their paths.

    Returns:
        Markdown with a line for each, which says why if it cannot be read; and the numbers of those that can.
    """
    lines, readable = [], []
    for number, video in enumerate(videos):
        try:
            told = _facts(video)
            readable.append(number)
        except (ValueError, OSError) as error:
            told = f"⚠ {_plain(one_line(error, video))}"
        else:
            told = told if len(videos) == 1 else f"{_plain(Path(video).name)}: {told}"
        lines.append(told)
    return "\n\n".join(lines), readable


def _facts(video: str) -> str:
    with open_source(video) as reader:
        info = upright_info(reader.info)
    return f"{info.width}×{info.height}, {float(info.rate):.5g} frames per second, {info.length:.1f} s"


def _plain(text: str) -> str:
    """Text as Markdown that shows it as it is."""
    plain = html.escape(text, quote=False)
    shown = "".join(f"\\{sign}" if sign in "\\`*_[]()#!|~$" else sign for sign in plain)
    return re.sub(r"^(\d*)([-+.])", r"\1\\\2", shown)  # else the line would be an item of a list
