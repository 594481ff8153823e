"""Previews: the mask as a video, plain and masked interpolation compared, and frames between two pictures."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskvfi.errors import MediaError, OptionError
from maskvfi.options import EncodeOptions, FrameOptions, MaskOptions, MaskVideoOptions, Options
from maskvfi.paths import PathLike, check_target
from maskvfi.pipeline.ends import open_sink_for, open_source_for, refuse_same_file
from maskvfi.pipeline.reading import Progress, gaps_of
from maskvfi.pipeline.report import Report
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import read_painted_masks, with_painted_masks
from maskvfi.synthesis.renderer import Renderer
from maskvfi.timing.gaps import Gap, stretched
from maskvfi.timing.timeline import ByFactor, Slot, choose_timeline
from maskvfi.video import Frame, SourceInfo, open_source
from maskvfi.video.images import WRITTEN, is_image_target, read_pictures, write_picture
from maskvfi.video.orientation import turned, upright_info
from maskvfi.video.pixel_format import MATRIX_OF_TAG
from maskvfi.video.planes import planes_to_rgb, quantise, rgb_to_planes, to_tensors

TINT = (0.1, 0.9, 0.3)  # of what stands still
REPLACED_TINT = (1.0, 0.45, 0.0)  # of what was replaced in place


def mask_video(
    source: PathLike,
    target: PathLike,
    *,
    overlay: bool = False,
    options: MaskVideoOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **fields: Any,
) -> Report:
    """Write the mask of a video as a video: white stands still.

    Frame k shows the gap after source frame k; the last one repeats the one before. It is upright. Sound and other
    streams are kept.

    Args:
        source, target: As `interpolate` takes them.
        overlay: Tint the still pixels green over the source instead, and what was replaced in place orange.
        options: The options; see `maskvfi.MaskVideoOptions`.
        overwrite: Replace a target that exists.
        progress: Called with the number of frames read and the total number, which is None if unknown.
        **fields: Options by name, which replace those in `options`.

    Returns:
        What was done.

    Raises:
        MediaError, WeightsError, OptionError: As `interpolate` does.
    """
    options = MaskVideoOptions.of(options, fields)
    _refuse_no_mask(options)
    refuse_same_file(source, target)
    began = time.perf_counter()
    result = Report.begin(source, target, options)
    with open_source_for(source, options) as reader:
        info = reader.info
        interpolator = Interpolator.from_options(options, vfi="blend")
        interpolator.paint(*read_painted_masks(options, info))
        result.note_device(interpolator)
        renderer = Renderer(interpolator, info)
        every = ByFactor(1)
        gaps = gaps_of(iter(reader), info, every, options, result, progress)
        equal = interpolator.between_equal(info.height, info.width)
        last, shown = equal, upright_info(info)
        with open_sink_for(target, shown, info.rate, options, source, overwrite=overwrite) as sink:
            for gap, copied in renderer.masks(gaps):
                if gap.end is not None:
                    last = copied or (Copied(torch.zeros_like(equal.weight)) if gap.cut else equal)
                    if not gap.cut:
                        renderer.count(float(last.weight.mean()))
                mask = last.each(lambda plane: turned(plane.cpu(), info))
                picture = (
                    tinted(rgb_of(gap.start, info), mask) if overlay else mask.still.expand(1, 3, -1, -1)
                )
                sink.write(_frame(picture, shown, gap.slots[0][0], gap.start))
                result.frames_out += 1
        result.warnings = [*reader.warnings, *sink.warnings, *renderer.warnings]
        result.complete(renderer, began)
    return result


def compare(
    source: PathLike,
    target: PathLike,
    *,
    at: float | None = None,
    options: Options | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **fields: Any,
) -> Report:
    """Show plain interpolation above and the masked result below, as a video or as a picture of one new frame.

    Both are upright.

    Args:
        source: As `interpolate` takes it.
        target: A video, or a .png, .jpg, .tif or .exr picture.
        at: When the frame of a picture is, in seconds of the source after its first frame; by default where both
            differ most.
        options: The options; see `maskvfi.Options`. Those of an encoder are for a video only.
        overwrite: Replace a target that exists.
        progress: Called with the number of frames read and the total number, which is None if unknown.
        **fields: Options by name, which replace those in `options`.

    Returns:
        What was done.

    Raises:
        MediaError, WeightsError, OptionError: As `interpolate` does.
    """
    options = Options.of(options, fields)
    _refuse_no_mask(options)
    refuse_same_file(source, target)
    path = Path(target)
    picture = path.suffix.lower() in WRITTEN and not is_image_target(target)
    _check_time(at, picture, options)
    if picture:
        _refuse_encoding(options)
        check_target(path, overwrite)
    began = time.perf_counter()
    result = Report.begin(source, target, options)
    with open_source_for(source, options) as reader:
        info = reader.info
        masked = Interpolator.from_options(options)
        plain = masked.without_mask()
        masked.paint(*read_painted_masks(options, info))
        result.note_device(masked)
        below, above = (Renderer(each, info, options.on_cut) for each in (masked, plain))
        timeline, rate = choose_timeline(options, info.rate)
        frames = stretched(reader, info.start_time, options.stretch)
        gaps = gaps_of(frames, info, timeline, options, result, progress)
        lost: Sequence[str]
        if picture:
            when = None if at is None else info.start_time + Fraction(str(at)) * options.stretch
            both = _one_new_frame(gaps, above, below, when)
            if both is None:
                moment = "" if at is None else f" at {at} s"
                raise MediaError(f"{os.fspath(source)}: has no new frame{moment} to compare")
            lost = write_picture(path, _stacked(*both, info), _twice_as_high(info), overwrite)
            result.frames_out = 1
        else:
            size = _twice_as_high(info)
            with open_sink_for(target, size, rate, options, source, overwrite=overwrite) as sink:
                for stacked in _stacked_frames(gaps, above, below, info):
                    sink.write(stacked)
                    result.frames_out += 1
            lost = sink.warnings
    result.warnings = [*dict.fromkeys([*reader.warnings, *lost, *below.warnings, *above.warnings])]
    result.complete(below, began)
    return result


def pair(
    first: PathLike,
    second: PathLike,
    target: PathLike,
    *,
    at: float | Iterable[float] = 0.5,
    interpolator: Interpolator | None = None,
    options: FrameOptions | None = None,
    overwrite: bool = False,
    warnings: list[str] | None = None,
    **fields: Any,
) -> list[Path]:
    """Write the frame at every time `at` between two pictures, in their depth and with their alpha.

    With one time the frame is written to `target`; with several, each file name gets the time: out_0.25.png.

    Args:
        first, second: The pictures.
        target: A .png, .tif, .exr or .jpg file.
        at: A time between the pictures, in 0..1, or several.
        interpolator: Makes the frames; by default one is made from the options.
        options: The options; see `maskvfi.FrameOptions`.
        overwrite: Replace pictures that exist.
        warnings: Gets a line for everything that was not kept.
        **fields: Options by name, which replace those in `options`.

    Returns:
        The paths of the written pictures.

    Raises:
        MediaError, WeightsError, OptionError: As `interpolate` does.
    """
    options = FrameOptions.of(options, fields)
    at = [float(at)] if isinstance(at, int | float) else [float(t) for t in at]
    if not at:
        raise OptionError("give at least one time between 0 and 1")
    for t in at:
        if not 0 <= t <= 1:
            raise OptionError(f"a time must lie between 0 and 1, not {t}")
    path = Path(target)
    paths = [path if len(at) == 1 else path.with_name(f"{path.stem}_{t:g}{path.suffix}") for t in at]
    if len({*paths}) < len(paths):
        raise OptionError("two of the times are equal in six digits, which name the pictures")
    for each in paths:
        check_target(each, overwrite)
        refuse_same_file(first, each)
        refuse_same_file(second, each)
    info, (start, end) = read_pictures([first, second], warnings)
    renderer = Renderer(
        with_painted_masks(interpolator or Interpolator.from_options(options), options, info), info
    )
    slots = tuple((Slot(Fraction(t), Fraction(1)), Fraction(t)) for t in at)
    for each, frame in zip(paths, renderer.render([Gap(start, end, False, slots)]), strict=True):
        lost = write_picture(each, frame, info, overwrite)
        if warnings is not None:
            warnings += [line for line in (*lost, *renderer.warnings) if line not in warnings]
    return paths


def neighbours(source: PathLike, at: float) -> tuple[Tensor, Tensor]:
    """Read the frame that is shown at a time, and the one after it.

    Args:
        source: A video.
        at: Seconds after the first frame; past the last frame, the last two are read.

    Returns:
        Both frames upright, RGB [1,3,H,W] in 0..1.

    Raises:
        MediaError: The video cannot be read there, or has fewer than two frames.
    """
    for start in (max(Fraction(0), Fraction(str(at)) - 1), Fraction(0)):
        found: tuple[Frame, Frame] | None = None
        with open_source(source, start=start) as reader:
            with suppress(MediaError):  # cut off or damaged; what lies before can be looked at
                for found in pairwise(reader):
                    if found[1].pts - reader.info.start_time > at:
                        break
            if found is not None and found[0].pts - reader.info.start_time <= at:
                return rgb_of(found[0], reader.info), rgb_of(found[1], reader.info)
    raise MediaError(f"{os.fspath(source)}: has fewer than two frames")


def _refuse_no_mask(options: MaskOptions) -> None:
    if options.mask is None and options.protect is None:
        raise OptionError("there is no mask to show: mask is off")


def _refuse_encoding(options: EncodeOptions) -> None:
    """Refuse options of an encoder for a single picture, which its suffix alone decides."""
    plain = EncodeOptions().to_dict()
    given = [name for name, value in options.values_of_group(EncodeOptions).items() if value != plain[name]]
    if given:
        raise OptionError(f"a picture is written as its suffix says, and takes no {', '.join(given)}")


def _check_time(at: float | None, picture: bool, options: Options) -> None:
    """Refuse a time that is none, that is given for a video, or that is not read."""
    if at is None:
        return
    if not picture:
        raise OptionError("at chooses the frame of a picture, and the target is a video")
    if not 0 <= at < math.inf:
        raise OptionError(f"at must be a number of seconds of at least 0, not {at}")
    start, end = options.window
    if start is not None and at < start:
        raise OptionError(f"at is {at} s, which lies before start")
    if end is not None and at >= end:
        raise OptionError(f"at is {at} s, which does not lie before end")


def _stacked_frames(
    gaps: Iterable[Gap], above: Renderer, below: Renderer, info: SourceInfo
) -> Iterator[Frame]:
    """Every output frame twice, one above the other."""
    for gap, copied in below.masks(gaps):
        above.brightest = below.brightest
        for both in zip(above.frames(gap, None), below.frames(gap, copied), strict=True):
            yield _stacked(*both, info)


def _one_new_frame(
    gaps: Iterable[Gap], plain: Renderer, masked: Renderer, at: Fraction | None
) -> tuple[Frame, Frame] | None:
    """One new frame, made without and with the mask.

    It is the one nearest to `at` or, without `at`, the one that differs most of those in the middle of a gap. None if
    there is none, or the stream ends before `at`.
    """
    best, most = None, -1.0
    end = Fraction(0)
    nearest: tuple[Gap, Copied | None] | None = None  # of those that `at` may lie in or beside
    for gap, copied in masked.masks(gaps):
        new = [(slot, t) for slot, t in gap.slots if t > 0]
        if gap.slots:
            last, _ = gap.slots[-1]
            end = last.pts + last.duration
        if gap.end is None or gap.cut or not new:
            continue
        if at is not None and end <= at:
            nearest = gap, copied
            continue
        if at is not None:
            if nearest is None or _distance(gap, at) <= _distance(nearest[0], at):
                nearest = gap, copied
            break
        both = _made(gap, copied, new[len(new) // 2], plain, masked)
        a, b = (frame.planes[0].astype(np.float32) for frame in both)
        difference = float(np.square(a - b).mean())
        if difference > most:
            best, most = both, difference
    if at is None:
        return best
    if nearest is None or end <= at:
        return None
    gap, copied = nearest
    return _made(gap, copied, _nearest(gap, at), plain, masked)


def _nearest(gap: Gap, at: Fraction) -> tuple[Slot, Fraction]:
    """The new frame of a gap that is nearest to a time."""
    return min(((slot, t) for slot, t in gap.slots if t > 0), key=lambda choice: abs(choice[0].pts - at))


def _distance(gap: Gap, at: Fraction) -> Fraction:
    return abs(_nearest(gap, at)[0].pts - at)


def _made(
    gap: Gap, copied: Copied | None, slot: tuple[Slot, Fraction], plain: Renderer, masked: Renderer
) -> tuple[Frame, Frame]:
    """A new frame of a gap, made without and with the mask."""
    one = replace(gap, slots=(slot,))
    plain.brightest = masked.brightest
    return next(plain.frames(one, None)), next(masked.frames(one, copied))


def rgb_of(frame: Frame, info: SourceInfo) -> Tensor:
    """A frame as it is shown.

    Args:
        frame: The frame.
        info: The video that it belongs to.

    Returns:
        RGB [1,3,H,W] in 0..1, upright.
    """
    return turned(planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, info.colour), info)


def _frame(rgb: Tensor, info: SourceInfo, slot: Slot, like: Frame) -> Frame:
    """A frame of these colours, with the HDR metadata of another one."""
    planes = list(rgb_to_planes(rgb, info.format, info.colour))
    if info.format.alpha:
        planes.append(torch.full(rgb.shape[-2:], info.format.white))
    return Frame(quantise(planes, info.format), info.format, slot.pts, slot.duration, origin=like.origin)


def tinted(rgb: Tensor, copied: Copied) -> Tensor:
    """Tint still pixels green, and those whose content was replaced in place orange.

    Args:
        rgb: [B,3,H,W] in 0..1.
        copied: How its pixels are copied.

    Returns:
        [B,3,H,W] in 0..1.
    """
    out = rgb.clamp(0, 1)
    for share, tint in ((copied.still, TINT), (copied.replaced, REPLACED_TINT)):
        if share is not None:
            out = torch.lerp(out, 0.4 * out + 0.6 * torch.tensor(tint).view(1, 3, 1, 1), share)
    return out


def _stacked(above: Frame, below: Frame, info: SourceInfo) -> Frame:
    rgb = torch.cat((rgb_of(above, info), rgb_of(below, info)), dim=2)
    return _frame(rgb, _twice_as_high(info), Slot(above.pts, above.duration), below)


def _twice_as_high(info: SourceInfo) -> SourceInfo:
    """The description of a stacked picture. Its matrix has a tag, since players guess an untagged one by the height."""
    shown = upright_info(info)
    colour = shown.colour
    if info.format.family == "yuv" and colour.matrix_tag not in MATRIX_OF_TAG:
        tag = next(tag for tag, matrix in MATRIX_OF_TAG.items() if matrix == colour.matrix)
        colour = replace(colour, matrix_tag=tag)
    return replace(shown, height=2 * shown.height, colour=colour)
