"""Pictures for people: what the mask sees, plain RIFE beside ours, and the frame between two stills."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskvfi import hub
from maskvfi.gaps import Gap, split
from maskvfi.interpolate import PathLike, Progress, choose_timeline
from maskvfi.interpolator import Interpolator
from maskvfi.render import Renderer
from maskvfi.scenes import SceneWatcher, Watched
from maskvfi.video import Frame, MediaError, Source, SourceInfo, open_sink, open_source
from maskvfi.video.images import read_pictures, write_picture
from maskvfi.video.planes import planes_to_rgb, quantise, rgb_to_planes, to_tensors
from maskvfi.video.timeline import ByFactor, Slot

TINT = (0.1, 0.9, 0.3)
PICTURE_SUFFIXES = {".png", ".tif", ".tiff", ".exr"}


def mask_video(
    source: PathLike,
    target: PathLike,
    *,
    overlay: bool = False,
    mask: PathLike = hub.DEFAULT_STATIC,
    threshold: float = 0.5,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write the mask of a video as a video: white stands still; returns the number of frames.

    Frame k shows the gap after source frame k (the last one repeats the one before). With overlay the still
    pixels are tinted green over the source instead. Raises as `interpolate` does.
    """
    with open_source(source) as reader:
        renderer = Renderer(Interpolator(mask=mask, device=device, threshold=threshold), reader.info)
        frames = _watched(reader, progress)
        last: Tensor | None = None
        count = 0
        with open_sink(target, reader.info, rate=reader.info.rate, overwrite=overwrite) as sink:
            for gap, weight in renderer.masks(split(frames, ByFactor(1))):
                if gap.end is not None:
                    nothing = torch.zeros(1, 1, reader.info.height, reader.info.width)
                    last = nothing if gap.cut else 1 - nothing if weight is None else weight
                assert last is not None or gap.end is None
                shown = (
                    torch.ones(1, 1, reader.info.height, reader.info.width) if last is None else last.cpu()
                )
                picture = (
                    tinted(_rgb(gap.start, reader.info), shown) if overlay else shown.expand(1, 3, -1, -1)
                )
                sink.write(_frame(picture, reader.info, gap.slots[0][0]))
                count += 1
    return count


def compare(
    source: PathLike,
    target: PathLike,
    *,
    factor: int = 2,
    at: float | None = None,
    vfi: PathLike = hub.DEFAULT_VFI,
    mask: PathLike = hub.DEFAULT_STATIC,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Plain RIFE above, the masked result below: as a video, or, when target is a picture, one new frame.

    at is the time of that frame in seconds from the first one; by default the frame is taken where both
    differ most. Raises as `interpolate` does.
    """
    path = Path(target)
    with open_source(source) as reader:
        info = reader.info
        masked = Renderer(Interpolator(vfi, mask, device), info)
        plain = Renderer(Interpolator(vfi, None, device), info)
        timeline, rate = choose_timeline(factor, None, Fraction(1), info.rate)
        gaps = split(_watched(reader, progress), timeline)
        if path.suffix.lower() in PICTURE_SUFFIXES:
            _refuse_existing(path, overwrite)
            both = _one_new_frame(
                gaps, plain, masked, None if at is None else info.start_time + Fraction(str(at))
            )
            if both is None:
                raise MediaError(
                    f"{os.fspath(source)}: has no new frame{'' if at is None else f' at {at} s'} to compare"
                )
            write_picture(path, _stacked(*both, info), _twice_as_high(info))
            return path
        carry = source if os.fspath(source) != "-" else None
        with open_sink(path, _twice_as_high(info), rate=rate, carry=carry, overwrite=overwrite) as sink:
            for gap, weight in masked.masks(gaps):
                for above, below in zip(plain.frames(gap, None), masked.frames(gap, weight), strict=True):
                    sink.write(_stacked(above, below, info))
    return path


def pair(
    first: PathLike,
    second: PathLike,
    target: PathLike,
    *,
    at: Sequence[float] = (0.5,),
    interpolator: Interpolator | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the frame at every time `at` between two pictures; returns the paths.

    With one time the picture is target itself; with several, target gains the time: out.png, out_0.25.png.
    Depth and alpha are those of the pictures. Raises MediaError, WeightsError or ValueError.
    """
    if not at:
        raise ValueError("give at least one time between 0 and 1")
    for t in at:
        if not 0 <= t <= 1:
            raise ValueError(f"a time must lie between 0 and 1, not {t}")
    path = Path(target)
    paths = [path if len(at) == 1 else path.with_name(f"{path.stem}_{t:g}{path.suffix}") for t in at]
    for each in paths:
        _refuse_existing(each, overwrite)
    info, (start, end) = read_pictures([first, second])
    renderer = Renderer(interpolator or Interpolator(), info)
    slots = tuple((Slot(Fraction(t), Fraction(1)), Fraction(t)) for t in at)
    for each, frame in zip(paths, renderer.render([Gap(start, end, False, slots)]), strict=True):
        write_picture(each, frame, info)
    return paths


def neighbours(source: PathLike, at: float) -> tuple[Tensor, Tensor]:
    """The frame shown `at` seconds after the first one and the next, RGB [1,3,H,W] in 0..1; at the end the last two.

    Raises MediaError for a video that cannot be read there, or has fewer than two frames.
    """
    for start in (max(Fraction(0), Fraction(str(at)) - 1), Fraction(0)):
        found: tuple[Frame, Frame] | None = None
        with open_source(source, start=start) as reader:
            for found in pairwise(reader):
                if found[1].pts - reader.info.start_time > at:
                    break
            if found is not None and found[0].pts - reader.info.start_time <= at:
                return _rgb(found[0], reader.info), _rgb(found[1], reader.info)
    raise MediaError(f"{os.fspath(source)}: has fewer than two frames")


def _watched(reader: Source, progress: Progress | None) -> Iterator[Watched]:
    for number, watched in enumerate(SceneWatcher(reader.info).watch(reader), 1):
        if progress:
            progress(number, reader.info.frames_estimate)
        yield watched


def _one_new_frame(
    gaps: Iterable[Gap], plain: Renderer, masked: Renderer, at: Fraction | None
) -> tuple[Frame, Frame] | None:
    """The new frame nearest to `at`, or of those in the middle of a gap the one that differs most, made both ways."""
    best, most = None, -1.0
    for gap, weight in masked.masks(gaps):
        new = [(slot, t) for slot, t in gap.slots if t > 0]
        if gap.end is None or gap.cut or not new or (at is not None and gap.end.pts <= at):
            continue
        chosen = new[len(new) // 2] if at is None else min(new, key=lambda made: abs(made[0].pts - at))
        one = replace(gap, slots=(chosen,))
        both = next(plain.frames(one, None)), next(masked.frames(one, weight))
        if at is not None:
            return both
        a, b = (frame.planes[0].astype(np.float32) for frame in both)
        difference = float(np.square(a - b).mean())
        if difference > most:
            best, most = both, difference
    return best


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise MediaError(f"{path}: exists already (use --overwrite to replace it)")


def _rgb(frame: Frame, info: SourceInfo) -> Tensor:
    return planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, info.colour)


def _frame(rgb: Tensor, info: SourceInfo, slot: Slot) -> Frame:
    planes = list(rgb_to_planes(rgb, info.format, info.colour))
    if info.format.alpha:
        planes.append(
            torch.full(rgb.shape[-2:], 1.0 if info.format.depth == 32 else 2.0**info.format.depth - 1)
        )
    return Frame(quantise(planes, info.format), info.format, slot.pts, slot.duration)


def tinted(rgb: Tensor, weight: Tensor) -> Tensor:
    """RGB [B,3,H,W] with green over it by how far each pixel is copied, [B,1,H,W]."""
    grey = rgb.clamp(0, 1)
    return torch.lerp(grey, 0.4 * grey + 0.6 * torch.tensor(TINT).view(1, 3, 1, 1), weight)


def _stacked(above: Frame, below: Frame, info: SourceInfo) -> Frame:
    rgb = torch.cat((_rgb(above, info), _rgb(below, info)), dim=2)
    return _frame(rgb, info, Slot(above.pts, above.duration))


def _twice_as_high(info: SourceInfo) -> SourceInfo:
    return replace(info, height=2 * info.height)
