"""Layered synthetic motion: real textures that move in a known way, so that flow and stillness are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from distill.arrays import Floats, Image, Rng, quantised

LEAP = 160.0, 30.0  # px per gap, fastest and slowest, of objects that hardly overlap with where they were


class Textures(Protocol):
    """Pictures to cut layers from."""

    def __len__(self) -> int:
        """How many there are."""

    def frames(self, index: int) -> Sequence[Image]:
        """Pictures [S,S,3], of which the first is texture number `index`."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A textured sheet that moves. One gap lasts from time 0 to 1.

    Attributes:
        picture: [S,S,3].
        coverage: [S,S] in 0..1, how opaque it is; None: all of it.
        centre: (x,y) in px of the window, where its centre is at time 0.
        velocity: (x,y) in px per gap.
        acceleration: (x,y) in px per gap, by which the path bends.
        turn: Radians per gap.
        growth: Logarithm of the factor by which it grows per gap.
    """

    picture: Image
    coverage: Floats | None
    centre: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)
    acceleration: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    growth: float = 0.0

    def pose(self, time: float) -> Floats:
        """The 3x3 matrix that carries a point of the sheet to the frame at `time`."""
        half = self.picture.shape[0] / 2 - 0.5
        cos, sin = np.cos(self.turn * time), np.sin(self.turn * time)
        scale = np.exp(self.growth * time)
        bend = time * (time - 1)
        x = self.centre[0] + self.velocity[0] * time + self.acceleration[0] * bend
        y = self.centre[1] + self.velocity[1] * time + self.acceleration[1] * bend
        linear = scale * np.array([[cos, -sin], [sin, cos]])
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = np.array([x, y]) - linear @ np.array([half, half])
        return matrix


@dataclass(frozen=True, slots=True)
class Scene:
    """Layers from back to front, seen through a square window of `size` px. S is that size."""

    layers: tuple[Layer, ...]
    size: int

    def frame(self, time: float) -> Image:
        """The picture [S,S,3] at a time."""
        out: Floats | None = None
        for layer in self.layers:
            matrix = layer.pose(time)[:2]
            picture = cv2.warpAffine(
                layer.picture,
                matrix,
                (self.size, self.size),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            ).astype(np.float32)
            if out is None or layer.coverage is None:
                out = picture
            else:
                alpha = cv2.warpAffine(layer.coverage, matrix, (self.size, self.size))[..., None]
                out += alpha * (picture - out)
        assert out is not None
        return quantised(out)

    def visible(self, time: float) -> NDArray[np.intp]:
        """The index [S,S] of the layer that each pixel shows at a time."""
        top = np.zeros((self.size, self.size), np.intp)
        for index, layer in enumerate(self.layers):
            if index and layer.coverage is not None:
                shown = cv2.warpAffine(layer.coverage, layer.pose(time)[:2], (self.size, self.size)) > 0.5
                top[shown] = index
        return top

    def flow(self, start: float, end: float) -> Floats:
        """Exact flow from one time to another.

        Returns:
            [2,S,S] in px, x then y: where each pixel of the frame at `start` lies at `end`, less where it is.
        """
        moves = np.stack([self._move(layer, start, end) for layer in self.layers])
        return np.take_along_axis(moves, self.visible(start)[None, None], axis=0)[0]

    def reach(self, times: tuple[float, ...]) -> Floats:
        """How far what is seen at the first time has gone at the middle time or at the last, whichever is more.

        Args:
            times: In order.

        Returns:
            [S,S] in px; infinite where another layer is seen at any of the times.
        """
        first = self.visible(times[0])
        moves = [
            np.stack([self._move(layer, times[0], time) for layer in self.layers])
            for time in (times[-1], times[len(times) // 2])
        ]
        distance = np.maximum(*(np.hypot(move[:, 0], move[:, 1]) for move in moves))
        distance = np.take_along_axis(distance, first[None], axis=0)[0]
        for time in times[1:]:
            distance[self.visible(time) != first] = np.inf
        return distance

    def _move(self, layer: Layer, start: float, end: float) -> Floats:
        matrix = layer.pose(end) @ np.linalg.inv(layer.pose(start)) - np.eye(3)
        x = np.arange(self.size)
        shift = matrix[:2, 0, None, None] * x[None, None, :] + matrix[:2, 1, None, None] * x[None, :, None]
        return (shift + matrix[:2, 2, None, None]).astype(np.float32)


def random_scene(
    textures: Textures,
    size: int,
    rng: Rng,
    speed: float = 32.0,
    still_camera: float = 0.15,
    still_objects: float = 0.15,
    leaping: float = 0.0,
) -> Scene:
    """A random scene: a background and up to four objects.

    Args:
        textures: What the layers show.
        size: Side of the window in px.
        rng: Chooses everything.
        speed: The fastest motion, px per gap; speeds are log-uniform.
        still_camera: The chance that the camera stands still.
        still_objects: The chance that an object moves with the camera.
        leaping: The chance that an object moves by LEAP instead.
    """
    camera = _velocity(rng, speed) if rng.random() > still_camera else (0.0, 0.0)
    layers = [_layer(textures, size, rng, camera, None)]
    for _ in range(int(rng.integers(0, 5))):
        radius = rng.uniform(0.05, 0.45) * size
        own = _velocity(rng, speed) if rng.random() > still_objects else camera
        if leaping and rng.random() < leaping:
            own = _velocity(rng, *LEAP)
        layers.append(_layer(textures, size, rng, own, _blob(layers[0].picture.shape[0], radius, rng)))
    return Scene(tuple(layers), size)


def _layer(
    textures: Textures,
    size: int,
    rng: Rng,
    velocity: tuple[float, float],
    coverage: Floats | None,
) -> Layer:
    picture = textures.frames(int(rng.integers(len(textures))))[0]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    lively = velocity != (0.0, 0.0)

    def some() -> float:
        # Mostly little, now and then a fast turn or zoom: the tails are heavier than those of a Gaussian.
        return float(np.clip(0.03 * rng.standard_t(3), -0.4, 0.4)) if lively and rng.random() < 0.5 else 0.0

    place = (size / 2, size / 2) if coverage is None else (rng.uniform(0, size), rng.uniform(0, size))
    return Layer(
        np.ascontiguousarray(picture),
        coverage,
        place,
        velocity,
        acceleration=tuple(rng.normal(0, 0.1, 2) * np.hypot(*velocity)) if lively else (0.0, 0.0),
        turn=some(),
        growth=some(),
    )


def _velocity(rng: Rng, speed: float, least: float = 0.3) -> tuple[float, float]:
    length = np.exp(rng.uniform(np.log(least), np.log(speed)))
    angle = rng.uniform(0, 2 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def _blob(size: int, radius: float, rng: Rng) -> Floats:
    """A smooth-edged random polygon in the middle of a sheet."""
    corners = int(rng.integers(3, 12))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.5, 1.4, corners)
    points = np.stack((np.cos(angle) * reach, np.sin(angle) * reach), axis=1) + size / 2
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    if rng.random() < 0.5:
        mask = cv2.GaussianBlur(mask, (0, 0), radius * 0.15 + 0.5)
        mask = np.clip((mask.astype(np.float32) - 127) * (radius * 0.15 + 0.5) + 127, 0, 255).astype(np.uint8)
    return mask.astype(np.float32) / 255
