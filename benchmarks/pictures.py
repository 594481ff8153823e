"""What scripts that make one picture share: the clip that it is of, and the file that it is written to."""

from __future__ import annotations

from pathlib import Path

import cv2

from distill.arrays import Image
from distill.data.clips import Clip, find_clips


def clip_named(clips: Path, name: str) -> Clip:
    """The first clip of a folder whose name begins so.

    Raises:
        SystemExit: There is none.
    """
    found = next((clip for clip in find_clips(clips) if clip.path.name.startswith(name)), None)
    if found is None:
        raise SystemExit(f"{clips}: no clip's name begins with {name}")
    return found


def write_png(path: Path, picture: Image) -> None:
    """Write a picture [H,W,3] in RGB; one that is there is replaced, since it is printed again.

    Raises:
        SystemExit: It cannot be written.
    """
    encoded = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise SystemExit(f"{path}: cannot be written ({error.strerror})") from None
