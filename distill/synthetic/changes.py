"""Things that are replaced in place: counters, swapped subtitles, turned pages, what blinks. Nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from distill.arrays import Floats, Image, Rng
from distill.synthetic.overlays import Drawing, Overlay, box, label, panel, subtitle, text_drawing
from distill.synthetic.text import DIGITS, Fonts, draw_text, words

Picture = Callable[[Rng], Image]  # draws a picture [S,S,3], at least as large as a frame


def random_changes(
    frames: int, height: int, width: int, rng: Rng, picture: Picture | None = None, fonts: Fonts | None = None
) -> list[Overlay]:
    """One or two overlays whose content changes at once between some of the frames.

    Args:
        frames: How many frames they lie over, at least two.
        height, width: Of a frame in px.
        rng: Chooses everything.
        picture: What pages show; without it they are text.
        fonts: What text is written in; by default the machine's fonts.
    """
    kinds: list[Callable[[], Overlay]] = [
        lambda: swapped_subtitle(frames, height, width, rng, fonts),
        lambda: swapped_subtitle(frames, height, width, rng, fonts),
        lambda: counter(frames, height, width, rng),
        lambda: counter(frames, height, width, rng),
        lambda: turned_page(frames, height, width, rng, picture, fonts),
        lambda: blinking(frames, height, width, rng, fonts),
        lambda: highlight(frames, height, width, rng, fonts),
    ]
    return [kinds[int(rng.integers(len(kinds)))]() for _ in range(int(rng.integers(1, 3)))]


def swapped_subtitle(frames: int, height: int, width: int, rng: Rng, fonts: Fonts | None = None) -> Overlay:
    """One text, then another at the same place."""
    first = subtitle(height, width, rng, fonts)
    middle = np.flatnonzero(first[1].max(axis=1) > 0.5)
    size = int(rng.integers(10, 30))
    text, font = words(rng, 8, 28, fonts)
    place = (width / 2, float(middle.mean()) if len(middle) else 0.85 * height)
    ink, edge = rng.uniform(180, 255, 3), rng.uniform(0, 50, 3)
    second = text_drawing(height, width, text, font, place, size, ink, edge, int(rng.integers(0, 4)))
    return _sequence([first, second], _switches(frames, rng))


def counter(frames: int, height: int, width: int, rng: Rng) -> Overlay:
    """Digits in cells of one width, some of which change; alone or on a plate."""
    count, size = int(rng.integers(1, 8)), int(rng.integers(12, 56))
    x, y = rng.uniform(0.05, 0.8) * width, rng.uniform(0.05, 0.95) * height
    ink, edge, stroke = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), int(rng.integers(0, 3))
    plate = rng.uniform(0, 255, 3) if rng.random() < 0.5 else None
    letters = list(DIGITS) if rng.random() < 0.7 else list("ABCDEFGHKLMNPRSTUVXYZ")
    row = rng.choice(letters, count)
    rows = [row]
    for _ in range(frames - 1):
        row = np.where(rng.random(count) < 0.5, rng.choice(letters, count), row)
        rows.append(row)

    def drawn(row: Floats) -> Drawing:
        colour = np.empty((height, width, 3), np.float32)
        colour[:] = ink
        inner, outer = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        for index, letter in enumerate(row):
            place = (x + 0.7 * size * index, y)
            inner = np.maximum(inner, draw_text(height, width, str(letter), None, place, size))
            if stroke and plate is None:
                outer = np.maximum(outer, draw_text(height, width, str(letter), None, place, size, stroke))
        if plate is not None:
            sides = 0.7 * size * count, 1.3 * size
            ground = np.empty_like(colour)
            ground[:] = plate
            on = box(height, width, x - 0.4 * size, y - 0.65 * size, *sides)
            return ground + inner[..., None] * (colour - ground), np.maximum(on, inner)
        if stroke:
            rim = np.empty_like(colour)
            rim[:] = edge
            return rim + inner[..., None] * (colour - rim), np.maximum(inner, outer)
        return colour, inner

    return _sequence([drawn(row) for row in rows], _switches(frames, rng, every=rng.random() < 0.5))


def turned_page(
    frames: int,
    height: int,
    width: int,
    rng: Rng,
    picture: Picture | None = None,
    fonts: Fonts | None = None,
) -> Overlay:
    """A rectangle, now and then the whole frame, that shows one page and then another."""
    if rng.random() < 0.1:
        x, y, w, h = 0.0, 0.0, float(width), float(height)
    else:
        w, h = rng.uniform(0.15, 0.8) * width, rng.uniform(0.15, 0.8) * height
        x, y = rng.uniform(-0.1, 1.1) * (width - w), rng.uniform(-0.1, 1.1) * (height - h)
    coverage = box(height, width, round(x), round(y), round(w), round(h))
    pages = []
    for _ in range(2):
        if picture is not None and rng.random() < 0.6:
            pages.append(picture(rng)[:height, :width].astype(np.float32))
            continue
        paper, ink = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        size = int(rng.integers(9, 24))
        text, font = words(rng, 10, 26, fonts)
        lines = "\n".join("".join(rng.permutation(list(text))) for _ in range(int(rng.integers(1, 7))))
        letters = draw_text(height, width, lines, font, (x + w / 2, y + h / 2), size)[..., None]
        pages.append((paper + letters * (ink - paper)).astype(np.float32))
    return _sequence([(page, coverage) for page in pages], _switches(frames, rng))


def blinking(frames: int, height: int, width: int, rng: Rng, fonts: Fonts | None = None) -> Overlay:
    """A word or a panel that is there and is not there, in turn."""
    draw = (label, panel)[int(rng.integers(2))]
    steady = Overlay.steady(draw(height, width, rng, fonts), frames)
    return replace(steady, opacity=tuple(1.0 - index for index in _switches(frames, rng, every=True)))


def highlight(frames: int, height: int, width: int, rng: Rng, fonts: Fonts | None = None) -> Overlay:
    """Rows of a menu, one of which has another ground: the ground goes to another row, the text stays."""
    count, size = int(rng.integers(2, 7)), int(rng.integers(10, 22))
    tall, wide = 1.6 * size, rng.uniform(0.25, 0.7) * width
    x, y = rng.uniform(0, width - wide), rng.random() * (height - tall * (count - 1)) - tall
    ground, chosen, ink = rng.uniform(0, 255, (3, 3))
    letters = np.zeros((height, width), np.float32)
    for row in range(count):
        text, font = words(rng, 4, 14, fonts)
        place = (x + wide / 2, y + tall * (row + 0.5))
        letters = np.maximum(letters, draw_text(height, width, text, font, place, size))
    coverage = box(height, width, x, y, wide, tall * count)
    drawings = []
    for row in rng.permutation(count)[:2]:
        on = box(height, width, x, y + tall * row, wide, tall)[..., None]
        colour = ground + on * (chosen - ground)
        drawings.append(((colour + letters[..., None] * (ink - colour)).astype(np.float32), coverage))
    return _sequence(drawings, _switches(frames, rng))


def _switches(frames: int, rng: Rng, every: bool = False) -> list[int]:
    """Which of two states each frame shows: with one switch between them, or with one after every few frames."""
    if every:
        pace, phase = int(rng.integers(1, 3)), int(rng.integers(2))
        return [(index + phase) // pace % 2 for index in range(frames)]
    switch = int(rng.integers(1, frames))
    return [int(index >= switch) for index in range(frames)]


def _sequence(drawings: list[Drawing], states: list[int]) -> Overlay:
    """An overlay that goes to its next drawing whenever the state changes, and back to the first after the last."""
    shown, index = [drawings[0]], 0
    for before, after in pairwise(states):
        index += before != after
        shown.append(drawings[index % len(drawings)])
    return replace(Overlay.steady(drawings[0], len(states)), drawings=tuple(shown))
