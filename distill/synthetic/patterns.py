"""Motion that looks like stillness: textures that repeat under a moving camera, and soft ones that drift."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from distill.arrays import Floats, Image, Rng, quantised
from distill.synthetic.motion import Layer, Scene, Textures, random_scene
from distill.synthetic.text import draw_text, words

SHEET = 384  # px, side of a texture unless said otherwise


@dataclass(frozen=True, slots=True)
class Pattern:
    """A texture that repeats.

    Attributes:
        picture: [S,S,3] in 0..255.
        period: (x,y) in px, the shortest shift by which it looks the same.
    """

    picture: Floats
    period: tuple[float, float]


def repeating_scene(textures: Textures, size: int, rng: Rng, still: float = 0.2) -> Scene:
    """A wall, a fence or a page in front of a camera that moves by a multiple of its period, nearly so, or freely.

    What repeats covers all of the background or a part of it, and it is not perfect: it has stains or uneven light.
    Objects may move in front.

    Args:
        textures: What surrounds it, and what its stains and its tiles are made of.
        size: Side of the window in px.
        rng: Chooses everything.
        still: The chance that the camera stands still.
    """
    scene = random_scene(textures, size, rng, 24.0, still_camera=1.0, still_objects=0.1)
    ground = scene.layers[0].picture.astype(np.float32)
    sheet = ground.shape[0]
    pattern = repeating_texture(textures, rng, sheet)
    stains = cv2.resize(_any(textures, rng), ground.shape[1::-1]).astype(np.float32)
    if rng.random() < 0.5:
        stains = cv2.GaussianBlur(stains, (0, 0), float(rng.uniform(1, 12)))
    strength = np.float32(np.exp(rng.uniform(np.log(0.02), np.log(0.4))))
    worn = pattern.picture + strength * (stains - stains.mean())
    cover = _region(sheet, rng)[..., None]
    picture = quantised(ground + cover * (worn - ground))
    velocity = (0.0, 0.0) if rng.random() < still else camera_speed(pattern.period, rng)
    centre = (size / 2 + rng.uniform(-20, 20), size / 2 + rng.uniform(-20, 20))
    lively = velocity != (0.0, 0.0) and rng.random() < 0.25
    turn, growth = (float(x) for x in rng.normal(0, 0.01, 2)) if lively else (0.0, 0.0)
    back = Layer(picture, None, centre, velocity, turn=turn, growth=growth)
    front = scene.layers[1:] if rng.random() < 0.5 else ()
    return Scene((back, *front), size)


def drifting_scene(textures: Textures, size: int, rng: Rng, speed: float = 8.0, still: float = 0.0) -> Scene:
    """Sky, water or smoke that goes slowly by, mostly behind things that stand still or move with it.

    Args:
        textures: What stands in front.
        size: Side of the window in px.
        rng: Chooses everything.
        speed: The fastest drift, px per gap.
        still: The chance that it stands still.
    """
    scene = random_scene(textures, size, rng, speed, still_camera=1.0, still_objects=0.4)
    angle, pace = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(1.0), np.log(speed)))
    velocity = float(pace * np.cos(angle)), float(pace * np.sin(angle))
    turn, growth = (float(x) for x in rng.normal(0, 0.005, 2))
    if still and rng.random() < still:
        velocity, turn, growth = (0.0, 0.0), 0.0, 0.0
    sheet = scene.layers[0].picture.shape[0]
    back = Layer(
        soft_texture(textures, rng, sheet), None, (size / 2, size / 2), velocity, turn=turn, growth=growth
    )
    return Scene((back, *(scene.layers[1:] if rng.random() < 0.6 else ())), size)


def camera_speed(period: tuple[float, float], rng: Rng) -> tuple[float, float]:
    """A motion, in px per gap: a multiple of a period and little more or less, or any.

    Args:
        period: (x,y) in px.
        rng: Chooses.
    """
    length = float(np.hypot(*period))
    if rng.random() < 0.25:
        angle, pace = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(2), np.log(40)))
        return float(pace * np.cos(angle)), float(pace * np.sin(angle))
    times = int(rng.integers(1, max(2, int(40 / length) + 1)))
    times *= 1 if rng.random() < 0.5 else -1
    off = 0.0 if rng.random() < 0.35 else float(rng.normal(0, 0.08))
    along = (times + off) * np.array(period)
    across = rng.normal(0, 1.0) * np.array([-period[1], period[0]]) / length if rng.random() < 0.5 else 0
    x, y = along + across
    return float(x), float(y)


def repeating_texture(textures: Textures, rng: Rng, size: int = SHEET) -> Pattern:
    """Slats, fences, tiles, bricks, windows, rows of text, or a piece of a picture again and again.

    Args:
        textures: Pictures to take tiles from.
        rng: Chooses everything.
        size: Its side in px.
    """
    kind = rng.random()
    wide, tall = (float(np.exp(rng.uniform(np.log(4), np.log(40)))) for _ in range(2))
    dark, light = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    if kind < 0.35:
        angle = rng.choice([0.0, np.pi / 2]) if rng.random() < 0.6 else rng.uniform(0, np.pi)
        step = np.array([np.cos(angle), np.sin(angle)]) * wide
        shade = _stripes(step, rng, size)
        if rng.random() < 0.25:
            shade = np.minimum(shade, _stripes(np.array([-step[1], step[0]]), rng, size))
        return Pattern(dark + shade[..., None] * (light - dark), (float(step[0]), float(step[1])))
    if kind < 0.65:
        across, down = max(4, round(wide)), max(4, round(tall))
        tile = np.empty((down, across, 3), np.float32)
        tile[:] = light
        if rng.random() < 0.5:
            tile += rng.uniform(-40, 40, (down, across, 1)).astype(np.float32) * np.float32(rng.random())
        joint = max(1, round(min(across, down) * rng.uniform(0.08, 0.4)))
        tile[:joint], tile[:, :joint] = dark, dark
        period = float(across), 0.0
        if rng.random() < 0.4:
            # Bricks: every other row is shifted by a half.
            tile = np.concatenate((tile, np.roll(tile, across // 2, axis=1)))
        elif rng.random() < 0.5:
            period = 0.0, float(down)
        return Pattern(_tiled(tile, size), period)
    if kind < 0.8:
        high = int(rng.integers(8, 20))
        text, font = words(rng, 1, 4)
        across, down = max(6, round(high * 0.7 * len(text))), round(high * rng.uniform(1.1, 1.8))
        letters = draw_text(down, across, text, font, (across / 2, down / 2), high)[..., None]
        return Pattern(_tiled(dark + letters * (light - dark), size), (0.0, float(down)))
    picture = _any(textures, rng)
    across, down = (int(rng.integers(6, 48)) for _ in range(2))
    y, x = (int(rng.integers(0, side - 48)) for side in picture.shape[:2])
    piece = cv2.resize(picture[y : y + 48, x : x + 48], (across, down), interpolation=cv2.INTER_AREA)
    period = (float(across), 0.0) if rng.random() < 0.5 else (0.0, float(down))
    return Pattern(_tiled(piece.astype(np.float32), size), period)


def soft_texture(textures: Textures, rng: Rng, size: int = SHEET) -> Image:
    """A picture [S,S,3] without edges: clouds of noise, or a picture out of focus.

    Args:
        textures: Pictures to blur.
        rng: Chooses everything.
        size: Its side in px.
    """
    if rng.random() < 0.4:
        picture = cv2.resize(_any(textures, rng), (size, size)).astype(np.float32)
        return quantised(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(4, 16))))
    low, high = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    cloud = np.zeros((size, size), np.float32)
    fall = rng.uniform(1.4, 2.6)
    for octave in range(int(rng.integers(2, 5))):
        cells = 3 << octave
        noise = rng.standard_normal((cells, cells)).astype(np.float32)
        cloud += fall**-octave * cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    cloud = 1 / (1 + np.exp(-cloud * np.float32(rng.uniform(0.5, 2))))
    slope = np.linspace(0, float(rng.uniform(-0.4, 0.4)), size, dtype=np.float32)[:, None]
    return quantised(low + (np.clip(cloud + slope, 0, 1))[..., None] * (high - low))


def _stripes(step: Floats, rng: Rng, size: int) -> Floats:
    """Stripes [S,S] in 0..1 across `step`, which is a period long; hard, soft or rounded."""
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    phase = (xs * step[0] + ys * step[1]) / np.float32(step @ step) + rng.random()
    wave = np.abs(2 * (phase - np.floor(phase)) - 1)
    share, slope = rng.uniform(0.2, 0.8), rng.uniform(1, 1 + np.hypot(*step) / 2)
    return np.clip((wave - share) * slope + 0.5, 0, 1).astype(np.float32)


def _tiled(tile: Floats, size: int) -> Floats:
    rows, columns = (-(-size // side) for side in tile.shape[:2])
    whole: Floats = np.tile(tile, (rows, columns, 1))[:size, :size]
    return whole.astype(np.float32)


def _region(size: int, rng: Rng) -> Floats:
    """Where [S,S] a pattern covers its surroundings: everywhere, in a rectangle, or on one side of a line."""
    mood = rng.random()
    if mood < 0.3:
        return np.ones((size, size), np.float32)
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    if mood < 0.7:
        w, h = rng.uniform(0.3, 0.9, 2) * size
        x, y = rng.uniform(0, size - w), rng.uniform(0, size - h)
        inside = (xs >= x) & (xs < x + w) & (ys >= y) & (ys < y + h)
        return inside.astype(np.float32)
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.25) * size
    across = np.cos(angle) * (xs - size / 2) + np.sin(angle) * (ys - size / 2) - place
    return np.clip(across + 0.5, 0, 1).astype(np.float32)


def _any(textures: Textures, rng: Rng) -> Image:
    return textures.frames(int(rng.integers(len(textures))))[0]
