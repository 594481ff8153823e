"""Errors that a user can mend. Each message is one line that names the file and the cause."""

from __future__ import annotations


class MaskvfiError(ValueError):
    """Base class of the library's own errors."""


class MediaError(MaskvfiError):
    """A video, picture, folder or pipe that cannot be read or written."""


class WeightsError(MaskvfiError):
    """Weights that are missing, damaged, or made for something else."""


class OptionError(MaskvfiError):
    """An option with a wrong value, or with one that this machine does not support."""


def reason(error: BaseException) -> str:
    """Describe the cause of an error on one line.

    Args:
        error: Any exception.

    Returns:
        In lower case, the words of the operating system or FFmpeg, else the message, else the exception's type.
    """
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    return words.lower() or type(error).__name__
