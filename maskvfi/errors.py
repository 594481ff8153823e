"""Errors that a user can fix. Each message is one line that names the file and the cause."""

from __future__ import annotations


class MaskvfiError(ValueError):
    """Base class of the library's own errors."""


class MediaError(MaskvfiError):
    """A video, picture, folder or pipe that cannot be read or written."""


class StoppedError(MediaError):
    """A video that could not be made to its end, but whose first frames are kept for another run.

    `__cause__` is the error that ended it.
    """


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


def short_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine, or its accelerator, has no memory left.

    Args:
        error: Any exception. torch, oneDNN and OpenVINO raise RuntimeError, and only its words tell what happened.
    """
    words = str(error).lower()
    return isinstance(error, MemoryError) or any(text in words for text in _SHORT_OF_MEMORY)


_SHORT_OF_MEMORY = (
    "out of memory",  # CUDA and Metal
    "can't alloc",  # torch on a CPU, OpenVINO
    "cannot allocate",  # the operating system
    "could not create a primitive",  # oneDNN
    "bad_alloc",  # OpenVINO and ONNX Runtime
    "can't start new thread",  # Python: a thread needs a stack
)
