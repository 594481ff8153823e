"""SMPTE ST 12 time codes under another frame rate: labels such as 01:00:00:12, with a semicolon for drop-frame."""

from __future__ import annotations

import re
from fractions import Fraction

_LABEL = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)")
_DAY = 24 * 3600  # seconds, after which the labels begin again


def moved_timecode(
    text: str, rate: Fraction, new_rate: Fraction, start: Fraction = Fraction(0)
) -> str | None:
    """The time code of the first frame of an output.

    Args:
        text: The time code of the source's first frame.
        rate: The source's frames per second.
        new_rate: The output's frames per second.
        start: Where the output begins in the source, in seconds from its first frame.

    Returns:
        A time code of the same moment; None if `text` is not a time code, or a rate rounds to 0 frames per second.
    """
    found = _LABEL.fullmatch(text.strip())
    count, new_count = round(rate), round(new_rate)
    if not found or count < 1 or new_count < 1:
        return None
    hours, minutes, seconds, frames = (int(found[k]) for k in (1, 2, 3, 5))
    drop = found[4] != ":" and _drops(rate)
    number = Fraction(((hours * 60 + minutes) * 60 + seconds) * count + frames)
    if drop:
        number -= _dropped(hours * 60 + minutes, count)
    number += start * rate  # often between two frames of the source, and on one of the output
    if drop and _drops(new_rate):
        return _drop_label(round(number * Fraction(new_count, count)), new_count)
    seconds_shown = number / (rate if drop else count)
    return _label(round(seconds_shown * new_count), new_count, ":")


def _drops(rate: Fraction) -> bool:
    """Whether labels are dropped at this rate: 30000/1001 and its multiples."""
    return round(rate) % 30 == 0 and rate != round(rate)


def _dropped(minutes: int, count: int) -> int:
    """How many labels are dropped before a minute: two of 30, except in every tenth minute."""
    return count // 15 * (minutes - minutes // 10)


def _drop_label(number: int, count: int) -> str:
    minute, ten = 60 * count - count // 15, 600 * count - 9 * (count // 15)
    tens, rest = divmod(number, ten)
    minutes = 10 * tens + (0 if rest < 60 * count else 1 + (rest - 60 * count) // minute)
    return _label(number + _dropped(minutes, count), count, ";")


def _label(number: int, count: int, sign: str) -> str:
    seconds, frames = divmod(number % (_DAY * count), count)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{sign}{frames:02}"
