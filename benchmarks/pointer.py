"""What a mask says of a mouse pointer that moves over a still screen, and how much of it new frames show.

python -m benchmarks.pointer --clips dev [--mask WEIGHTS ...]

The screen is the first frame of every clip. Of the pixels that change, a moving pointer's are all moving: what is
called still or replaced is wrong, and a new frame shows the pointer of the nearer source frame there. A pixel of the
pointer is shown if the new frame in the middle is nearer to it than to the screen. The last rows have no mask.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from distill.arrays import Image
from distill.data.clips import find_clips
from distill.data.tensors import as_batch
from maskvfi.models.static import StaticMaskNet
from maskvfi.options import DEFAULT_MASK
from maskvfi.pipeline.preview import rgb_of
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.video import open_source

ARROW = np.array([(0, 0), (0, 17), (4, 13), (7, 19), (9, 18), (6, 12), (11, 12)])  # px
SPEEDS = (2, 6, 15, 30)  # px per gap
FRAMES = 5
LARGEST = 640, 480  # px; a larger frame is cropped
CHANGED = 20  # code values by which a pixel changes


def screen_of(path: Path) -> Image:
    """The middle of a clip's first frame."""
    with open_source(path) as reader:
        rgb = rgb_of(next(iter(reader)), reader.info)[0]
    height, width = (min(side, most) for side, most in zip(rgb.shape[1:], LARGEST[::-1], strict=True))
    top, left = (rgb.shape[1] - height) // 2, (rgb.shape[2] - width) // 2
    part = rgb[:, top : top + height, left : left + width].permute(1, 2, 0)
    return np.ascontiguousarray((255 * part.clamp(0, 1)).round().byte().numpy())


def with_pointer(screen: Image, x: float, y: float) -> Image:
    """A white arrow with a black rim whose tip is at x, y."""
    picture, points = screen.copy(), np.rint(1.2 * ARROW + (x, y)).astype(np.int32)
    cv2.fillPoly(picture, [points], (255, 255, 255), cv2.LINE_AA)
    cv2.polylines(picture, [points], True, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def at_time(screen: Image, time: float, speed: int) -> Image:
    """The screen with a pointer that has moved `speed` px in x and half as many in y in every gap."""
    height, width = screen.shape[:2]
    return with_pointer(screen, width / 3 + time * speed, height / 3 + time * speed / 2)


@torch.inference_mode()
def shares(network: StaticMaskNet, screens: list[Image], speed: int) -> tuple[float, float]:
    """The shares of the changed pixels that are called replaced and still."""
    replaced = still = changed = 0
    for screen in screens:
        frames = [at_time(screen, k, speed) for k in range(FRAMES)]
        said = network.classify(as_batch(frames)[None])
        assert said.replaced is not None
        for gap in range(FRAMES - 1):
            differs = cv2.absdiff(frames[gap], frames[gap + 1]).max(axis=2) > CHANGED
            stays = said.still[0, gap].numpy() > 0.5
            swapped = (said.replaced[0, gap].numpy() > 0.5) & ~stays
            replaced += int((differs & swapped).sum())
            still += int((differs & stays).sum())
            changed += int(differs.sum())
    return replaced / changed, still / changed


def share_shown(interpolator: Interpolator, screens: list[Image], speed: int) -> float:
    """The share of the pointer's pixels that new frames show."""
    shown = pixels = 0
    for screen in screens:
        views = [interpolator.view(as_batch([at_time(screen, k, speed)])) for k in range(FRAMES)]
        for gap, copied in enumerate(interpolator.copied(views)):
            made = interpolator.between(*views[gap : gap + 2], 0.5, copied=copied)[0].permute(1, 2, 0)
            true = at_time(screen, gap + 0.5, speed)
            pointer = cv2.absdiff(true, screen).max(axis=2) > CHANGED
            off, missing = (np.abs(255 * made.numpy() - other).sum(axis=2) for other in (true, screen))
            shown += int((off < missing)[pointer].sum())
            pixels += int(pointer.sum())
    return shown / pixels


def main() -> None:
    """Print a row for every mask and speed."""
    from maskvfi.weights.load import load_static

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--mask", nargs="+", default=[DEFAULT_MASK])
    arguments = parser.parse_args()
    screens = [screen_of(clip.path) for clip in find_clips(arguments.clips)]
    print("| mask | px per gap | called replaced | called still | shown |\n|---|---|---|---|---|")
    for name in (*arguments.mask, None):
        network = None if name is None else load_static(name).eval()
        interpolator = Interpolator(mask=network, device="cpu", precision="fp32")
        for speed in SPEEDS:
            said = ("-", "-") if network is None else (f"{x:.0%}" for x in shares(network, screens, speed))
            cells = (
                name or "none",
                speed,
                *said,
                f"{share_shown(interpolator, screens, speed):.0%}",
            )
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
