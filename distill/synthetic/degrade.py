"""What happens to frames between the scene and the viewer: light, noise, codecs. None of it is motion."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import cv2
import numpy as np

from distill.arrays import Floats, Image, Rng, quantised


def degrade(frames: Sequence[Image], rng: Rng, noise: float = 9.0, noisy: float = 0.5) -> list[Image]:
    """The same frames under changing light, through sensors and codecs, each frame in its own way.

    Args:
        frames: N pictures [H,W,3].
        rng: Chooses what happens.
        noise: The heaviest noise, as standard deviation in code values.
        noisy: The chance of any noise, 0..1.

    Returns:
        N pictures of the same size.
    """
    out = [frame.astype(np.float32) for frame in frames]
    if rng.random() < 0.35:
        out = _light(out, rng)
    if rng.random() < 0.12:
        out = _fade(out, rng)
    if rng.random() < 0.2:
        out = _shadow(out, rng)
    if rng.random() < noisy:
        sigma = float(np.exp(rng.uniform(np.log(0.7), np.log(noise))))
        coarse = rng.random() < 0.3
        out = [frame + _noise(frame.shape, sigma, coarse, rng) for frame in out]
    if rng.random() < 0.12:
        sigma = rng.uniform(0.4, 1.0)
        out = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in out]
    pictures = [quantised(frame) for frame in out]
    if rng.random() < 0.08:
        step = int(rng.integers(2, 8))
        pictures = [(frame // step * step).astype(np.uint8) for frame in pictures]
    codec = rng.random()
    if codec < 0.3:
        pictures = encode(pictures, "libx264" if rng.random() < 0.7 else "libx265", int(rng.integers(18, 36)))
    elif codec < 0.55:
        quality = int(rng.integers(35, 92))
        pictures = [
            _jpeg(frame, quality + int(rng.integers(-8, 9)), int(rng.integers(0, 8)), rng)
            for frame in pictures
        ]
    return pictures


def encode(frames: Sequence[Image], codec: str, crf: int) -> list[Image]:
    """The frames as they come out of a video codec, in 4:2:0 and with motion-compensated frames.

    Args:
        frames: Pictures [H,W,3] with even sides.
        codec: "libx264" or "libx265".
        crf: The codec's constant rate factor.

    Returns:
        As many pictures.
    """
    height, width = frames[0].shape[:2]
    memory = io.BytesIO()
    # Without bframes=0 libx265 gives clips of two frames random timestamps, which muxers refuse.
    alone = "log-level=none:pools=1:frame-threads=1" + (":bframes=0" if len(frames) < 3 else "")
    quiet = {"x265-params": alone} if codec == "libx265" else {"threads": "1"}
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream(
            codec, rate=25, options={"crf": str(crf), "preset": "ultrafast", **quiet}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _light(frames: list[Floats], rng: Rng) -> list[Floats]:
    """Brightness, contrast, gamma and colour drift over the clip, or flicker from frame to frame."""
    count = len(frames)
    way = np.linspace(0, 1, count) if rng.random() < 0.6 else rng.uniform(0, 1, count)
    bias, gain, gamma = rng.normal(0, 12), rng.normal(0, 0.12), rng.normal(0, 0.12)
    tint = rng.normal(0, 0.04, 3).astype(np.float32)
    out = []
    for frame, amount in zip(frames, way, strict=True):
        frame = 255 * np.clip(frame / 255, 0, 1) ** np.float32(np.exp(gamma * amount))
        out.append(
            frame * (1 + np.float32(gain * amount) + tint * np.float32(amount)) + np.float32(bias * amount)
        )
    return out


def _fade(frames: list[Floats], rng: Rng) -> list[Floats]:
    """The whole picture fades to black, white or a colour, or comes from there."""
    colour = rng.choice([np.zeros(3), np.full(3, 255.0), rng.uniform(0, 255, 3)]).astype(np.float32)
    first, last = (float(amount) for amount in rng.uniform(0, 0.7, 2))
    amounts = np.linspace(first, last, len(frames), dtype=np.float32)
    return [frame + amount * (colour - frame) for frame, amount in zip(frames, amounts, strict=True)]


def _shadow(frames: list[Floats], rng: Rng) -> list[Floats]:
    """A soft shadow or glow that stands still or wanders."""
    height, width = frames[0].shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    vx, vy = rng.normal(0, 15, 2) * (rng.random() < 0.6)
    radius, depth = rng.uniform(0.15, 0.8) * width, rng.normal(0, 0.25)
    swing = rng.uniform(0.5, 1, len(frames)) if rng.random() < 0.4 else np.ones(len(frames))
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    out = []
    for index, frame in enumerate(frames):
        blob = np.exp(
            -((xs - x - vx * index) ** 2 + (ys - y - vy * index) ** 2) / np.float32(radius * radius)
        )
        out.append(frame * (1 + np.float32(depth * swing[index]) * blob[..., None]))
    return out


def gaussian(shape: tuple[int, ...], sigma: float, rng: Rng) -> Floats:
    """Gaussian noise, float32, in every pixel and colour by itself.

    Args:
        shape: Of the noise.
        sigma: Its standard deviation, in code values.
        rng: Draws it.
    """
    return rng.standard_normal(shape, np.float32) * np.float32(sigma)


def with_noise(frame: Image, sigma: float, rng: Rng) -> Image:
    """A picture with the noise of `gaussian`."""
    return quantised(frame + gaussian(frame.shape, sigma, rng))


def _noise(shape: tuple[int, ...], sigma: float, coarse: bool, rng: Rng) -> Floats:
    """Gaussian noise of `sigma` code values; coarse noise has grains of 2 px."""
    if not coarse:
        return gaussian(shape, sigma, rng)
    small = gaussian((shape[0] // 2 + 1, shape[1] // 2 + 1, 3), 1.5 * sigma, rng)
    return cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def _jpeg(frame: Image, quality: int, shift: int, rng: Rng) -> Image:
    """JPEG, in place of a video codec's blocks; their grid is shifted, as motion compensation shifts it."""
    moved = np.roll(frame, shift, axis=(0, 1))
    _, data = cv2.imencode(".jpg", moved, [cv2.IMWRITE_JPEG_QUALITY, int(np.clip(quality, 20, 97))])
    coded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert coded is not None
    return np.roll(coded, -shift, axis=(0, 1))
