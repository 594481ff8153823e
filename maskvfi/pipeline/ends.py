"""Both ends of a run: the source and the target of a command, opened as its options say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskvfi.errors import MediaError, OptionError
from maskvfi.options import DecodeOptions, EncodeOptions, TimeOptions
from maskvfi.paths import PathLike, check_target, same_file
from maskvfi.video import Sink, Source, SourceInfo, open_sink, open_source
from maskvfi.video.images import is_image_source, is_image_target
from maskvfi.video.open import PIPE
from maskvfi.video.pictures import folder_of


def open_source_for(source: PathLike, options: DecodeOptions) -> Source:
    """Open a source for reading.

    Args:
        source: A video file, a folder of images or "-".
        options: Which part of it is read, and how.

    Returns:
        A reader of its frames.

    Raises:
        MediaError: It cannot be read.
        OptionError: The decoding device is unknown.
    """
    start, end = options.window
    return open_source(
        source,
        start=start,
        end=end,
        rate=options.frame_rate,
        hwaccel=options.hwaccel,
        interlaced=options.interlaced,
        strict=options.strict,
    )


def open_sink_for(
    target: PathLike,
    info: SourceInfo,
    rate: Fraction,
    options: EncodeOptions,
    copy_from: PathLike | None = None,
    facts: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    slow: Fraction = Fraction(1),
) -> Sink:
    """Open a target for writing.

    Args:
        target: A video file, a folder of images or "-".
        info: The source's size, pixel format and times.
        rate: The average number of output frames per second.
        options: How frames are encoded. If they have `DecodeOptions` and `TimeOptions` too, these say which part of the
            other streams is copied.
        copy_from: The file whose other streams, chapters and tags are copied.
        facts: What the output depends on (`facts_of`); without them it cannot be resumed.
        overwrite: Replace a target that exists.
        resume: Continue an interrupted run.
        slow: How many times longer the output lasts than `copy_from`, unless options say so.

    Returns:
        A writer of frames.

    Raises:
        MediaError: The target cannot be written, or not be resumed.
        OptionError: The encoder is unknown or refuses its options.
    """
    if resume and copy_from is not None and os.fspath(copy_from) == PIPE:
        raise MediaError("a pipe cannot be read again: only a file can be resumed")
    start, end = options.window if isinstance(options, DecodeOptions) else (None, None)
    return open_sink(
        target,
        info,
        rate=rate,
        codec=options.codec,
        options=options.for_encoder,
        pix_fmt=options.pix_fmt,
        copy_from=copy_from,
        overwrite=overwrite,
        start=start,
        end=end,
        slow=options.stretch if isinstance(options, TimeOptions) else slow,
        facts=facts,
        resume=resume,
    )


def default_target(source: PathLike, faster: Fraction, slow: Fraction) -> PathLike:
    """Name an output beside its source: clip.mp4 becomes clip_2x.mp4, or clip_slow4x.mp4; shots/%04d.png is shots.

    Args:
        source: The input.
        faster: Output frames per second divided by the source's.
        slow: The output's duration divided by the source's.

    Returns:
        The path; that of a folder whose name has a dot ends with /.

    Raises:
        OptionError: The source is a pipe or an address, or its name has no suffix.
    """
    if os.fspath(source) == PIPE:
        raise OptionError("an output must be named when the input is a pipe")
    if "://" in os.fspath(source):
        raise OptionError("an output must be named when the input is an address")
    path = Path(source)
    if is_image_source(path):
        path = folder_of(path).resolve()
    label = f"slow{float(slow):g}x" if slow != 1 else f"{float(faster):.4g}x"
    if not path.is_dir() and not path.suffix:
        raise OptionError(
            f"{os.fspath(source)}: has no suffix that names its format; an output must be named"
        )
    if not path.is_dir():
        return path.with_name(f"{path.stem}_{label}{path.suffix}")
    folder = path.with_name(f"{path.name}_{label}")
    return folder if is_image_target(folder) else f"{folder}/"


def refuse_existing_file(target: PathLike, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before the work for it is done. Folders of images and pipes are let be.

    Args:
        target: The output.
        overwrite: Whether an existing file may be replaced.

    Raises:
        MediaError: See `check_target`.
    """
    if os.fspath(target) != PIPE and not is_image_target(target):
        check_target(target, overwrite)


def refuse_same_file(source: PathLike, target: PathLike) -> None:
    """Refuse a target that is the file or folder it is made from.

    Raises:
        MediaError: They are the same.
    """
    if same_file(folder_of(source), folder_of(target)):
        raise MediaError(f"{os.fspath(target)}: is the input itself")
