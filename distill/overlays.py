"""Things that stand still on purpose: subtitles, panels, bars, logos, pasted over moving pictures.

After the figure-text mixing of Exploring-Discontinuity-for-VFI (arXiv 2202.07291): what it draws, written
anew with coverage and alpha kept apart, so that thin and half-transparent things have exact labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from distill.clips import Image

Floats = np.ndarray  # float32
Rng = np.random.Generator

_LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789  .,:!?%/-+")


@dataclass(frozen=True, slots=True)
class Overlay:
    """One thing on top of a clip.

    colour [H,W,3] 0..255, coverage [H,W] 0..1 (geometry, with anti-aliased rims), and per frame its
    opacity 0..1 and offset (x,y) in px.
    """

    colour: Floats
    coverage: Floats
    opacity: tuple[float, ...]
    offsets: tuple[tuple[int, int], ...]

    def at(self, frame: int) -> tuple[Floats, Floats]:
        """Colour and coverage as placed in `frame`."""
        x, y = self.offsets[frame]
        if not (x or y):
            return self.colour, self.coverage
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        size = self.coverage.shape[::-1]
        return cv2.warpAffine(self.colour, shift, size), cv2.warpAffine(self.coverage, shift, size)


@dataclass(frozen=True, slots=True)
class Composite:
    """Frames with overlays on them, and the truth about every gap between neighbours.

    static [N-1,H,W]: covered by an overlay that stands still there (1), not covered (0);
    unsure [N-1,H,W]: rims and faint overlays, where neither answer is right.
    """

    frames: list[Image]
    static: NDArray[np.bool_]
    unsure: NDArray[np.bool_]


def paste(frames: Sequence[Image], overlays: Sequence[Overlay]) -> Composite:
    """Draw `overlays` in order over `frames` (all [H,W,3])."""
    out = [frame.astype(np.float32) for frame in frames]
    shape = (len(frames) - 1, *frames[0].shape[:2])
    static, unsure = np.zeros(shape, bool), np.zeros(shape, bool)
    for overlay in overlays:
        placed = [overlay.at(index) for index in range(len(frames))]
        for index, (colour, coverage) in enumerate(placed):
            alpha = (coverage * overlay.opacity[index])[..., None]
            out[index] += alpha * (colour - out[index])
        for gap in range(len(frames) - 1):
            cover = np.maximum(placed[gap][1], placed[gap + 1][1])
            low, high = sorted(overlay.opacity[gap : gap + 2])
            if overlay.offsets[gap] != overlay.offsets[gap + 1]:
                moving = cover * high > 0.1
                static[gap] &= ~moving
                unsure[gap] &= ~moving
            elif high >= 0.3 and low > 0.02:
                solid, rim = cover >= 0.6, cover > 0.05
                faint = low < 0.25 and high < 0.5
                static[gap] = np.where(solid, not faint, static[gap])
                unsure[gap] = np.where(solid, faint, unsure[gap] | rim)
            else:
                unsure[gap] |= cover * high > 0.03
    pictures = [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in out]
    return Composite(pictures, static & ~unsure, unsure)


def random_overlays(frames: int, height: int, width: int, rng: Rng, most: int = 4) -> list[Overlay]:
    """One to `most` overlays of random kinds for a clip of `frames` frames."""
    kinds = [_subtitle, _subtitle, _label, _label, _panel, _bar, _logo, _frame_lines, _letterbox, _grid]
    chosen = rng.choice(len(kinds), size=int(rng.integers(1, most + 1)))
    return [_animate(kinds[index], frames, height, width, rng) for index in chosen]


Drawing = tuple[Floats, Floats]


def _animate(
    draw: Callable[[int, int, Rng], Drawing], frames: int, height: int, width: int, rng: Rng
) -> Overlay:
    colour, coverage = draw(height, width, rng)
    still = ((0, 0),) * frames
    steady = float(rng.uniform(0.35, 1)) if rng.random() < 0.3 else 1.0
    mood = rng.random()
    if mood < 0.6:
        return Overlay(colour, coverage, (steady,) * frames, still)
    if mood < 0.85:
        start, end = rng.uniform(0, 1.0, 2)
        ramp = np.clip(np.linspace(start, end, frames), 0.0, 1.0) * steady
        return Overlay(colour, coverage, tuple(map(float, ramp)), still)
    if mood < 0.93:
        shown = np.arange(frames) >= rng.integers(1, frames) if frames > 1 else np.ones(1, bool)
        shown = shown if rng.random() < 0.5 else ~shown
        return Overlay(colour, coverage, tuple(steady * float(s) for s in shown), still)
    jump, place = rng.integers(1, frames), (int(rng.integers(-40, 41)), int(rng.integers(-40, 41)))
    return Overlay(
        colour, coverage, (steady,) * frames, tuple((0, 0) if k < jump else place for k in range(frames))
    )


def _subtitle(height: int, width: int, rng: Rng) -> Drawing:
    """One or two lines of light text, mostly with a dark outline, near the bottom or the top."""
    size = int(rng.integers(10, 30))
    lines = "\n".join(_words(rng, 8, 28) for _ in range(int(rng.integers(1, 3))))
    place = (width / 2, height * (0.85 if rng.random() < 0.7 else 0.12))
    light = rng.uniform(180, 255, 3)
    stroke = int(rng.integers(1, 4)) if rng.random() < 0.75 else 0
    return _text(height, width, lines, place, size, light, rng.uniform(0, 50, 3), stroke)


def _label(height: int, width: int, rng: Rng) -> Drawing:
    place = (rng.uniform(0, width), rng.uniform(0, height))
    size = int(rng.integers(8, 42))
    stroke = int(rng.integers(0, 3))
    return _text(
        height, width, _words(rng, 2, 18), place, size, rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), stroke
    )


def _panel(height: int, width: int, rng: Rng) -> Drawing:
    """A rounded box with rows of text, as menus and scoreboards have."""
    w, h = rng.uniform(0.15, 0.6) * width, rng.uniform(0.08, 0.4) * height
    x, y = rng.uniform(-0.1 * w, width - 0.9 * w), rng.uniform(-0.1 * h, height - 0.9 * h)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 255, 3)
    coverage = _box(height, width, x, y, w, h)
    if rng.random() < 0.5:
        coverage *= rng.uniform(0.7, 1)
    rows = "\n".join(_words(rng, 3, 14) for _ in range(int(rng.integers(1, 4))))
    ink, cover = _text(
        height, width, rows, (x + w / 2, y + h / 2), int(rng.integers(9, 20)), rng.uniform(0, 255, 3), 0, 0
    )
    return _over(colour, coverage, ink, cover)


def _bar(height: int, width: int, rng: Rng) -> Drawing:
    """A health bar: a frame, a filled part and an empty part."""
    w, h = rng.uniform(0.15, 0.5) * width, rng.uniform(4, 14)
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 80, 3)
    full = int(x + w * rng.uniform(0.1, 0.95))
    colour[:, :full] = rng.uniform(60, 255, 3)
    return colour, _box(height, width, x, y, w, h)


def _logo(height: int, width: int, rng: Rng) -> Drawing:
    """Circles, rings, stars: filled or outlined, anti-aliased."""
    mask = np.zeros((height, width), np.uint8)
    cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 34)
    thick = int(rng.integers(1, 4)) if rng.random() < 0.5 else -1
    if rng.random() < 0.5:
        cv2.circle(mask, (int(cx * 16), int(cy * 16)), int(r * 16), 255, thick, cv2.LINE_AA, shift=4)
    else:
        corners = int(rng.integers(3, 10))
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6)
        reach = r * np.where(np.arange(corners) % 2, rng.uniform(0.3, 1), 1)
        points = np.rint(np.stack((cx + np.cos(angle) * reach, cy + np.sin(angle) * reach), 1) * 16).astype(
            np.int32
        )
        if thick < 0:
            cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, shift=4)
        else:
            cv2.polylines(mask, [points], True, 255, thick, cv2.LINE_AA, shift=4)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 255, 3)
    shade = (
        np.linspace(0.5, 1.2, height, dtype=np.float32)[:, None, None]
        if rng.random() < 0.4
        else np.float32(1)
    )
    return np.clip(colour * shade, 0, 255), mask.astype(np.float32) / 255


def _frame_lines(height: int, width: int, rng: Rng) -> Drawing:
    """Thin lines: cross-hairs, camera frames, borders."""
    mask = np.zeros((height, width), np.uint8)
    thick = int(rng.integers(1, 3))
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    w, h = int(rng.integers(8, width)), int(rng.integers(8, height))
    if rng.random() < 0.5:
        cv2.rectangle(mask, (x, y), (x + w, y + h), 255, thick, cv2.LINE_AA)
    else:
        arm = int(rng.integers(5, 40))
        cv2.line(mask, (x - arm, y), (x + arm, y), 255, thick, cv2.LINE_AA)
        cv2.line(mask, (x, y - arm), (x, y + arm), 255, thick, cv2.LINE_AA)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 255, 3)
    return colour, mask.astype(np.float32) / 255


def _letterbox(height: int, width: int, rng: Rng) -> Drawing:
    coverage = np.zeros((height, width), np.float32)
    bar = int(rng.uniform(0.04, 0.2) * height)
    if rng.random() < 0.7:
        coverage[:bar] = coverage[-bar:] = 1
    else:
        coverage[:, :bar] = coverage[:, -bar:] = 1
    return np.full((height, width, 3), rng.uniform(0, 24), np.float32), coverage


def _grid(height: int, width: int, rng: Rng) -> Drawing:
    """A minimap or inventory: a small picture of blocks."""
    cells, cell = int(rng.integers(2, 7)), int(rng.integers(6, 16))
    tile = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
    tile = cv2.resize(
        tile, (cells * cell,) * 2, interpolation=cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    )
    side = cells * cell
    x, y = int(rng.integers(-side // 4, width - side // 2)), int(rng.integers(-side // 4, height - side // 2))
    colour = np.zeros((height, width, 3), np.float32)
    colour[:] = tile.mean(axis=(0, 1))
    top, left = max(y, 0), max(x, 0)
    part = tile[top - y : height - y, left - x : width - x]
    colour[top : top + part.shape[0], left : left + part.shape[1]] = np.clip(part, 0, 255)
    if rng.random() < 0.5:
        return colour, _box(height, width, x, y, side, side)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (x + side // 2, y + side // 2), side // 2, 255, -1, cv2.LINE_AA)
    return colour, mask.astype(np.float32) / 255


def _words(rng: Rng, low: int, high: int) -> str:
    return "".join(rng.choice(_LETTERS, int(rng.integers(low, high + 1))))


def _box(height: int, width: int, x: float, y: float, w: float, h: float) -> Floats:
    """Exact coverage of an axis-aligned box."""
    columns = np.clip(np.minimum(np.arange(width) + 1, x + w) - np.maximum(np.arange(width), x), 0, 1)
    rows = np.clip(np.minimum(np.arange(height) + 1, y + h) - np.maximum(np.arange(height), y), 0, 1)
    return (rows[:, None] * columns[None]).astype(np.float32)


def _text(
    height: int,
    width: int,
    text: str,
    place: tuple[float, float],
    size: int,
    ink: object,
    edge: object,
    stroke: int,
) -> Drawing:
    font = ImageFont.load_default(size)

    def mask(stroke_width: int) -> Floats:
        canvas = PILImage.new("L", (width, height))
        ImageDraw.Draw(canvas).multiline_text(
            place, text, 255, font, anchor="mm", align="center", stroke_width=stroke_width
        )
        return np.asarray(canvas, np.float32) / 255

    inner = mask(0)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = np.asarray(ink)
    if not stroke:
        return colour, inner
    outer = mask(stroke)
    rim = np.empty_like(colour)
    rim[:] = np.asarray(edge)
    return rim + inner[..., None] * (colour - rim), np.maximum(inner, outer)


def _over(below: Floats, cover_below: Floats, above: Floats, cover_above: Floats) -> Drawing:
    coverage = cover_above + cover_below * (1 - cover_above)
    weight = np.where(coverage > 0, cover_above / np.maximum(coverage, 1e-6), 0)[..., None]
    return below + weight * (above - below), coverage
