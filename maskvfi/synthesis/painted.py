"""Masks painted by hand: pictures that are white where the mask applies."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from maskvfi.errors import MediaError, reason
from maskvfi.options import MaskOptions
from maskvfi.paths import PathLike
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.video import SourceInfo
from maskvfi.video.orientation import orientation_of, upright_info
from maskvfi.video.pictures import orientation_of_picture

_TIFF = (b"II*\0", b"MM\0*")  # how TIFF files begin; OpenCV applies their orientation itself


def with_painted_masks(interpolator: Interpolator, options: MaskOptions, info: SourceInfo) -> Interpolator:
    """An interpolator for one video, with the masks that options name.

    Args:
        interpolator: Its networks are shared; the caller's own is not changed.
        options: If they name no painted mask, those of the interpolator stay.
        info: The video that the masks are for.

    Raises:
        MediaError: A file is not a picture, or has another size than the video.
    """
    own = copy.copy(interpolator)
    if options.protect is not None or options.release is not None:
        own.paint(*read_painted_masks(options, info))
    return own


def read_painted_masks(options: MaskOptions, info: SourceInfo) -> tuple[Tensor | None, Tensor | None]:
    """Read the painted masks that options name.

    Args:
        options: Their `protect` and `release` are the pictures.
        info: The video that the masks are for.

    Returns:
        protect and release, [H,W] in 0..1, each None if no picture is named.

    Raises:
        MediaError: A file is not a picture, or has another size than the video.
    """
    protect, release = (
        None if path is None else read_painted_mask(path, info) for path in (options.protect, options.release)
    )
    return protect, release


def read_painted_mask(path: PathLike, info: SourceInfo) -> Tensor:
    """Read a picture as a mask.

    Args:
        path: A picture of the size in which the video is shown; it is turned as its EXIF orientation says. Floats are
            in 0..1.
        info: The video.

    Returns:
        [H,W] in 0..1, as the video is stored: brightness, times opacity if the picture has an alpha channel.

    Raises:
        MediaError: The file is not a picture, has another size than the video, or floats outside of 0..1.
    """
    name = os.fspath(path)
    try:
        data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    except OSError as error:
        raise MediaError(f"{name}: cannot be read ({reason(error)})") from None
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:  # a header that promises too many pixels
        picture = None
    if picture is None:
        raise MediaError(f"{name}: is not a picture that can be read")
    if not data.tobytes().startswith(_TIFF) and (stored := orientation_of_picture(Path(path))):
        picture = np.moveaxis(stored.turn(np.atleast_3d(picture).transpose(2, 0, 1)), 0, 2)
    height, width = picture.shape[:2]
    shown = upright_info(info)
    if (width, height) != (shown.width, shown.height):
        raise MediaError(f"{name}: is {width}x{height}, the video is {shown.width}x{shown.height}")
    white = np.iinfo(picture.dtype).max if np.issubdtype(picture.dtype, np.integer) else 1
    values = picture.astype(np.float32) / np.float32(white)
    if not ((values >= 0) & (values <= 1)).all():
        raise MediaError(f"{name}: the numbers of a mask must lie in 0..1, and be 1 where it applies")
    if values.ndim == 3:
        light = values[..., :3].mean(axis=2) if values.shape[2] >= 3 else values[..., 0]
        values = light * values[..., 3] if values.shape[2] == 4 else light
    if orientation := orientation_of(info):
        values = np.ascontiguousarray(orientation.inverse.turn(values))
    return torch.from_numpy(values)
