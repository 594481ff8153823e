"""Things that stand still on purpose, pasted over moving pictures: subtitles, panels, bars, logos.

The idea is the figure-text mixing of Exploring-Discontinuity-for-VFI (arXiv 2202.07291). Here coverage and opacity are
kept apart, so that thin and half-transparent things have exact labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from distill.arrays import Bools, Floats, Image, Rng, quantised
from distill.synthetic.text import DIGITS, Fonts, draw_text, words

# Code values by which a drawing differs from the one before where its content was surely replaced.
SWAPPED = 60.0
# Code values by which frames differ where one can see that something was replaced.
SHOWS = 16.0

Drawing = tuple[Floats, Floats]  # colour [H,W,3] 0..255, coverage [H,W] 0..1 with anti-aliased rims


@dataclass(frozen=True, slots=True)
class Overlay:
    """One thing on top of a clip.

    Attributes:
        drawings: One for every frame; the same one, unless it changes.
        opacity: In 0..1, for every frame.
        offsets: (x,y) in px, for every frame.
        blur: Px by which the picture behind it is blurred, as frosted panels do.
    """

    drawings: tuple[Drawing, ...]
    opacity: tuple[float, ...]
    offsets: tuple[tuple[int, int], ...]
    blur: float = 0.0

    @classmethod
    def steady(cls, drawing: Drawing, frames: int, opacity: float = 1.0) -> Overlay:
        """A thing that neither changes nor moves nor fades over this many frames."""
        return cls((drawing,) * frames, (opacity,) * frames, ((0, 0),) * frames)

    def at(self, frame: int) -> Drawing:
        """Colour [H,W,3] and coverage [H,W] as they lie in a frame."""
        colour, coverage = self.drawings[frame]
        x, y = self.offsets[frame]
        if not (x or y):
            return colour, coverage
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        size = coverage.shape[::-1]
        return cv2.warpAffine(colour, shift, size), cv2.warpAffine(coverage, shift, size)

    def changed(self, gap: int, least: float = 12.0, cover: float = 0.1) -> Bools | bool:
        """Pixels [H,W] whose drawing differs between the frames `gap` and `gap` + 1; False: none.

        Args:
            gap: The number of its first frame.
            least: Code values by which the colour differs, at least.
            cover: By how much the coverage differs, at least, where the colour does not.
        """
        (colour0, cover0), (colour1, cover1) = self.drawings[gap : gap + 2]
        if colour0 is colour1 and cover0 is cover1:
            return False
        difference = np.abs(colour0 - colour1).max(axis=2) * np.minimum(cover0, cover1)
        return (difference > least) | (np.abs(cover0 - cover1) > cover)


@dataclass(frozen=True, slots=True)
class Composite:
    """Frames with overlays on them, and the truth about every gap between neighbours.

    Attributes:
        frames: N pictures [H,W,3].
        static: [N-1,H,W], covered by an overlay that stands still.
        unsure: [N-1,H,W], where neither "still" nor "moves" is right: rims, faint overlays, changing digits.
        replaced: [N-1,H,W], the part of unsure whose content surely changed at once, while nothing moved.
        moving: [N-1,H,W], covered by an overlay that moves.
    """

    frames: list[Image]
    static: Bools
    unsure: Bools
    replaced: Bools
    moving: Bools


def paste(frames: Sequence[Image], overlays: Sequence[Overlay]) -> Composite:
    """Draw overlays over frames.

    Args:
        frames: N pictures [H,W,3].
        overlays: From the lowest to the topmost, each for N frames.
    """
    out = [frame.astype(np.float32) for frame in frames]
    gaps = [_GapLabels(frames[0].shape[:2]) for _ in pairwise(frames)]
    for overlay in overlays:
        placed = [overlay.at(index) for index in range(len(frames))]
        for index, (colour, coverage) in enumerate(placed):
            _draw(out[index], colour, coverage, overlay.opacity[index], overlay.blur)
        for index, gap in enumerate(gaps):
            gap.add(overlay, index, np.maximum(placed[index][1], placed[index + 1][1]))
    pictures = [quantised(frame) for frame in out]
    shows = np.stack([cv2.absdiff(*pair).max(axis=2) > SHOWS for pair in pairwise(pictures)])
    labels = [(gap.static, gap.unsure, gap.replaced, gap.moving) for gap in gaps]
    static, unsure, replaced, moving = map(np.stack, zip(*labels, strict=True))
    return Composite(pictures, static & ~unsure, unsure, replaced & unsure & shows, moving & ~unsure)


def _draw(out: Floats, colour: Floats, coverage: Floats, opacity: float, blur: float) -> None:
    """Draw over a picture [H,W,3]; glass blurs what lies under it first."""
    if blur:
        frosted = cv2.GaussianBlur(out, (0, 0), blur)
        out += (coverage * opacity > 0)[..., None] * (frosted - out)
    out += (coverage * opacity)[..., None] * (colour - out)


class _GapLabels:
    """The labels of a gap, [H,W] each, while overlays are drawn over it, one over another."""

    def __init__(self, size: tuple[int, ...]) -> None:
        self.static, self.unsure, self.replaced, self.moving = (np.zeros(size, bool) for _ in range(4))

    def add(self, overlay: Overlay, gap: int, cover: Floats) -> None:
        """Label what an overlay covers in a gap, in either of its frames."""
        low, high = sorted(overlay.opacity[gap : gap + 2])
        if overlay.offsets[gap] != overlay.offsets[gap + 1]:
            self._moves(cover * high > 0.1)
        elif high >= 0.3 and low > 0.02:
            self._stands(cover >= 0.6, cover > 0.05, faint=low < 0.25 and high < 0.5)
        else:
            self._comes_or_goes(cover * high)
        self.unsure |= overlay.changed(gap)
        if high >= 0.5:
            self.replaced |= overlay.changed(gap, SWAPPED, 0.6)

    def _moves(self, covered: Bools) -> None:
        self.moving |= covered
        for label in (self.static, self.unsure, self.replaced):
            label &= ~covered

    def _stands(self, solid: Bools, rim: Bools, faint: bool) -> None:
        self.static = np.where(solid, not faint, self.static)
        self.unsure = np.where(solid, faint, self.unsure | rim)
        self.replaced &= ~rim
        self.moving &= ~rim

    def _comes_or_goes(self, shown: Floats) -> None:
        self.unsure |= shown > 0.03
        self.replaced = (self.replaced & (shown <= 0.03)) | (shown >= 0.5)


def random_overlays(
    frames: int, height: int, width: int, rng: Rng, most: int = 4, fonts: Fonts | None = None
) -> list[Overlay]:
    """Overlays of random kinds.

    Args:
        frames: Of the clip.
        height, width: Of a frame in px.
        rng: Chooses everything.
        most: How many there may be; there is at least one.
        fonts: What text is written in; by default the machine's fonts.
    """
    kinds: list[Callable[..., Drawing]] = [
        subtitle,
        subtitle,
        label,
        label,
        panel,
        _bar,
        _logo,
        _frame_lines,
        _letterbox,
        _grid,
        _cursor,
        _vignette,
        _watermark,
    ]
    overlays = []
    for _ in range(int(rng.integers(1, most + 1))):
        if rng.random() < 0.15:
            change = _clock if rng.random() < 0.5 else _changing_bar
            overlays.append(change(frames, height, width, rng))
        else:
            draw = kinds[int(rng.integers(len(kinds)))]
            overlays.append(_animate(draw, frames, height, width, rng, fonts))
    return overlays


def moving_overlay(frames: int, height: int, width: int, rng: Rng) -> Overlay:
    """A pointer, a label, a panel or a logo that moves by itself, in some gaps or in all.

    Args:
        frames: Of the clip.
        height, width: Of a frame in px.
        rng: Chooses everything; the speed lies between 1 and 40 px per gap.
    """
    draw = (_cursor, _cursor, label, panel, _logo)[int(rng.integers(5))]
    speed, angle = float(np.exp(rng.uniform(0, np.log(40)))), rng.uniform(0, 2 * np.pi)
    steps = speed * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.2 * speed, (frames, 2))
    moves = rng.random((frames, 1)) < (1 if rng.random() < 0.6 else 0.5)
    walk = np.cumsum(steps * moves, axis=0)
    steady = Overlay.steady(draw(height, width, rng), frames)
    return replace(steady, offsets=tuple((round(float(x)), round(float(y))) for x, y in walk))


def _animate(
    draw: Callable[..., Drawing], frames: int, height: int, width: int, rng: Rng, fonts: Fonts | None
) -> Overlay:
    """Steady, fading, appearing or vanishing, jumping, or wandering."""
    written = {"fonts": fonts} if draw in (subtitle, label, panel, _watermark) else {}
    level = float(rng.uniform(0.35, 1)) if rng.random() < 0.3 or draw is _watermark else 1.0
    steady = Overlay.steady(draw(height, width, rng, **written), frames, level)
    mood = rng.random()
    if draw is _cursor or mood > 0.97:
        walk = np.cumsum(rng.normal(0, 6, (frames, 2)), axis=0) * (rng.random() < 0.7)
        return replace(steady, offsets=tuple((int(x), int(y)) for x, y in walk))
    if mood < 0.38:
        return replace(steady, blur=float(rng.uniform(2, 8)) if draw is panel and rng.random() < 0.4 else 0.0)
    if mood < 0.81:
        opacity = _ramp(frames, rng) * level if mood < 0.58 else _pulse(frames, rng)
        return replace(steady, opacity=tuple(map(float, opacity)))
    if mood < 0.9:
        shown = np.arange(frames) >= rng.integers(1, frames) if frames > 1 else np.ones(1, bool)
        shown = shown if rng.random() < 0.5 else ~shown
        return replace(steady, opacity=tuple(level * float(s) for s in shown))
    jump, place = rng.integers(1, frames), (int(rng.integers(-40, 41)), int(rng.integers(-40, 41)))
    return replace(steady, offsets=tuple((0, 0) if k < jump else place for k in range(frames)))


def _ramp(frames: int, rng: Rng) -> Floats:
    """A fade from one opacity to another, as short as half a gap or as long as twice the clip."""
    middle, span = rng.uniform(0, frames - 1), float(np.exp(rng.uniform(np.log(0.5), np.log(2 * frames))))
    return np.interp(np.arange(frames), (middle - span / 2, middle + span / 2), rng.uniform(0, 1, 2))


def _pulse(frames: int, rng: Rng) -> Floats:
    """An opacity that changes much in every gap, up and down: the hardest fade there is."""
    return rng.uniform(0.2, 1, frames)


def _clock(frames: int, height: int, width: int, rng: Rng) -> Overlay:
    """A clock: digits of which some change from frame to frame."""
    place, size = (rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height), int(rng.integers(12, 40))
    ink, edge, stroke = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), int(rng.integers(0, 3))
    start, speed = int(rng.integers(0, 10**6)), int(rng.choice([1, 1, 7, 133]))
    pace = int(rng.integers(1, 4))
    drawings: dict[int, Drawing] = {}
    for index in range(frames):
        number = start + index // pace * speed
        text = f"{number // 6000 % 100:02}:{number // 100 % 60:02}.{number % 100:02}"
        drawings[index] = (
            drawings[index - 1]
            if index % pace
            else text_drawing(height, width, text, None, place, size, ink, edge, stroke)
        )
    return replace(Overlay.steady(drawings[0], frames), drawings=tuple(drawings[k] for k in range(frames)))


def _changing_bar(frames: int, height: int, width: int, rng: Rng) -> Overlay:
    """A health bar that drains or fills."""
    colour, coverage = _bar(height, width, rng)
    left, right = (int(side) for side in np.flatnonzero(coverage.max(axis=0) > 0.5)[[0, -1]])
    level, step = rng.uniform(0.2, 0.9), rng.normal(0, 0.06)
    full, empty = rng.uniform(60, 255, 3), rng.uniform(0, 80, 3)
    drawings = []
    for index in range(frames):
        edge = left + int((right - left) * np.clip(level + step * index, 0, 1))
        picture = np.empty_like(colour)
        picture[:, :edge], picture[:, edge:] = full, empty
        drawings.append((picture, coverage))
    return replace(Overlay.steady(drawings[0], frames), drawings=tuple(drawings))


def _cursor(height: int, width: int, rng: Rng) -> Drawing:
    """A mouse pointer: a white arrow with a dark rim."""
    x, y, s = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height, rng.uniform(8, 22)
    outline = np.array(
        [[0, 0], [0, 1], [0.24, 0.78], [0.4, 1.12], [0.55, 1.05], [0.4, 0.72], [0.7, 0.7]]
    ) * s + (x, y)
    points = np.rint(outline * 16).astype(np.int32)
    inner, rim = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    cv2.fillPoly(inner, [points], 255, cv2.LINE_AA, shift=4)
    cv2.polylines(rim, [points], True, 255, 1, cv2.LINE_AA, shift=4)
    edge = (rim.astype(np.float32) / 255)[..., None]
    colour = 255 * (1 - edge) * np.ones((height, width, 3), np.float32)
    return colour, np.maximum(inner, rim).astype(np.float32) / 255


def subtitle(height: int, width: int, rng: Rng, fonts: Fonts | None = None) -> Drawing:
    """One or two lines of light text, mostly with a dark outline, near the bottom or the top."""
    size = int(rng.integers(10, 30))
    text, font = words(rng, 8, 28, fonts)
    if rng.random() < 0.5:
        text += "\n" + text[::-1][: int(rng.integers(4, 28))]
    place = (width / 2, height * (0.85 if rng.random() < 0.7 else 0.12))
    light = rng.uniform(180, 255, 3)
    stroke = int(rng.integers(1, 4)) if rng.random() < 0.75 else 0
    return text_drawing(height, width, text, font, place, size, light, rng.uniform(0, 50, 3), stroke)


def label(height: int, width: int, rng: Rng, fonts: Fonts | None = None) -> Drawing:
    """A word of any colour anywhere."""
    place, size = (rng.uniform(0, width), rng.uniform(0, height)), int(rng.integers(8, 42))
    ink, edge, stroke = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), int(rng.integers(0, 3))
    return text_drawing(height, width, *words(rng, 2, 18, fonts), place, size, ink, edge, stroke)


def panel(height: int, width: int, rng: Rng, fonts: Fonts | None = None) -> Drawing:
    """A rounded box with rows of text, as menus and scoreboards have."""
    w, h = rng.uniform(0.15, 0.6) * width, rng.uniform(0.08, 0.4) * height
    x, y = rng.uniform(-0.1 * w, width - 0.9 * w), rng.uniform(-0.1 * h, height - 0.9 * h)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 255, 3)
    coverage = box(height, width, x, y, w, h)
    if rng.random() < 0.5:
        coverage *= rng.uniform(0.7, 1)
    text, font = words(rng, 6, 14, fonts)
    rows = "\n".join([text, "".join(rng.choice(list(DIGITS), 5)), text[::-1]][: int(rng.integers(1, 4))])
    middle, size = (x + w / 2, y + h / 2), int(rng.integers(9, 20))
    return _over(
        colour, coverage, *text_drawing(height, width, rows, font, middle, size, rng.uniform(0, 255, 3), 0, 0)
    )


def _bar(height: int, width: int, rng: Rng) -> Drawing:
    """A health bar: a frame, a filled part and an empty part."""
    w, h = rng.uniform(0.15, 0.5) * width, rng.uniform(4, 14)
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = rng.uniform(0, 80, 3)
    full = int(x + w * rng.uniform(0.1, 0.95))
    colour[:, :full] = rng.uniform(60, 255, 3)
    return colour, box(height, width, x, y, w, h)


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


def _vignette(height: int, width: int, rng: Rng) -> Drawing:
    """Corners that get darker."""
    ys, xs = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    begin, strength = rng.uniform(0.5, 1), rng.uniform(0.4, 1)
    coverage = strength * np.clip((np.hypot(xs, ys) - begin) / (2**0.5 - begin), 0, 1)
    return np.full((height, width, 3), rng.uniform(0, 20), np.float32), coverage.astype(np.float32)


def _watermark(height: int, width: int, rng: Rng, fonts: Fonts | None) -> Drawing:
    """A word, slanting, again and again over the whole picture."""
    text, font = words(rng, 4, 12, fonts)
    size, sheet = int(rng.integers(12, 34)), height + width
    line = draw_text(size * 3, sheet, (text + "   ") * 4, font, (sheet / 2, size * 1.5), size)
    turned = cv2.getRotationMatrix2D((sheet / 2, sheet / 2), float(rng.uniform(-45, 45)), 1.0)
    turned[:, 2] -= (width / 2, height / 2)
    many = np.tile(line, (sheet // (size * 3) + 1, 1))[:sheet]
    coverage = cv2.warpAffine(many, turned, (width, height), flags=cv2.INTER_LINEAR)
    return np.full((height, width, 3), rng.choice([0.0, 128.0, 255.0]), np.float32), coverage


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
        return colour, box(height, width, x, y, side, side)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (x + side // 2, y + side // 2), side // 2, 255, -1, cv2.LINE_AA)
    return colour, mask.astype(np.float32) / 255


def box(height: int, width: int, x: float, y: float, w: float, h: float) -> Floats:
    """Exact coverage [H,W] of an axis-aligned box at (x,y)."""
    columns = np.clip(np.minimum(np.arange(width) + 1, x + w) - np.maximum(np.arange(width), x), 0, 1)
    rows = np.clip(np.minimum(np.arange(height) + 1, y + h) - np.maximum(np.arange(height), y), 0, 1)
    return (rows[:, None] * columns[None]).astype(np.float32)


def text_drawing(
    height: int,
    width: int,
    text: str,
    font: str | None,
    place: tuple[float, float],
    size: int,
    ink: object,
    edge: object,
    stroke: int,
) -> Drawing:
    """Text in the colour `ink`, with an outline of `stroke` px in the colour `edge`; the rest as `draw_text` has it."""
    inner = draw_text(height, width, text, font, place, size)
    colour = np.empty((height, width, 3), np.float32)
    colour[:] = np.asarray(ink)
    if not stroke:
        return colour, inner
    outer = draw_text(height, width, text, font, place, size, stroke)
    rim = np.empty_like(colour)
    rim[:] = np.asarray(edge)
    return rim + inner[..., None] * (colour - rim), np.maximum(inner, outer)


def _over(below: Floats, cover_below: Floats, above: Floats, cover_above: Floats) -> Drawing:
    coverage = cover_above + cover_below * (1 - cover_above)
    weight = np.where(coverage > 0, cover_above / np.maximum(coverage, 1e-6), 0)[..., None]
    return below + weight * (above - below), coverage
