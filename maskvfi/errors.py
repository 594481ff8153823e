"""What goes wrong for reasons that a person can mend: each message is one line that names the file and the cause."""

from __future__ import annotations


class MaskvfiError(ValueError):
    """Whatever the library refuses or cannot do; the classes below say which."""


class MediaError(MaskvfiError):
    """A video, picture, folder or pipe that cannot be read or written."""


class WeightsError(MaskvfiError):
    """Weights that are missing, damaged, or made for something else."""


class OptionError(MaskvfiError):
    """An option with a wrong value, or one that cannot be had on this machine."""


def reason(error: BaseException) -> str:
    """The cause in lower case and on one line: what the operating system or FFmpeg says, else the message."""
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    return words.lower() or type(error).__name__
