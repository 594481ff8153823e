"""The demo: renders a clip with the overlays that RIFE bends, and interpolates it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from maskvfi.errors import MediaError, reason
from maskvfi.paths import check_target, written_whole
from maskvfi.pipeline.preview import compare, mask_video
from maskvfi.pipeline.reading import Progress
from maskvfi.pipeline.run import interpolate
from maskvfi.runtimes.device import choose_device
from maskvfi.video.streams import url_of

WIDTH, HEIGHT, FRAMES, RATE, SOUND_RATE = 640, 360, 60, 20, 48000
Picture = np.ndarray  # uint8
Floats = np.ndarray  # float32


def run_demo(
    folder: Path, device: str = "auto", progress: Progress | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Render the demo clip, interpolate it, and show the mask and the difference to plain interpolation.

    Args:
        folder: Gets in.mp4, out.mp4 (twice the frame rate), mask.mp4 and difference.png.
        device: A torch device, or "auto".
        progress: Called with the number of frames read and the total number.
        overwrite: Replace those that exist.

    Returns:
        The paths of the four files.

    Raises:
        MediaError: One exists and overwrite is not set, or the folder cannot be written.
        OptionError: This machine does not have the device.
    """
    choose_device(device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: is no folder that can be made ({reason(error)})") from error
    files = [folder / name for name in ("in.mp4", "out.mp4", "mask.mp4", "difference.png")]
    clip, smooth, seen, picture = files
    for each in files:
        check_target(each, overwrite)
    new = [each for each in files if not each.exists()]
    try:
        with written_whole(clip, overwrite=overwrite) as partial:
            render_clip(partial)
        interpolate(clip, smooth, device=device, overwrite=overwrite, progress=progress)
        mask_video(clip, seen, overlay=True, device=device, overwrite=overwrite, progress=progress)
        compare(clip, picture, at=FRAMES / RATE / 4, device=device, overwrite=overwrite)
    except BaseException:  # also Ctrl-C: four files, or none
        for each in new:
            each.unlink(missing_ok=True)
        raise
    return files


def render_clip(path: Path, frames: int = FRAMES) -> None:
    """Render a moving landscape under a HUD and subtitles that fade in and out, with a sound track.

    Args:
        path: The video file to write.
        frames: The number of frames.
    """
    layers = _landscape(np.random.default_rng(7))
    hud = _hud()
    with av.open(url_of(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "16"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(_draw(layers, hud, number, frames), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for chunk in _melody(frames / RATE):
            container.mux(sound.encode(chunk))
        container.mux(sound.encode(None))


def _draw(
    layers: list[tuple[Picture, Floats, float]], hud: tuple[Floats, Floats], number: int, frames: int
) -> Picture:
    out = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for colour, alpha, speed in layers:
        shift = np.array([[1, 0, -40 - speed * number], [0, 1, 0]], np.float32)
        moved = cv2.warpAffine(colour, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR).astype(np.float32)
        cover = cv2.warpAffine(alpha, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)[..., None]
        out += cover * (moved - out)
    colour, cover = hud
    out += cover[..., None] * (colour - out)
    words = ("Everything moves ...", "... except what should stand still.")
    for index, text in enumerate(words):
        ink, shape = _text(text, (WIDTH // 2, 330), 0.9, (250, 250, 235), centred=True)
        phase = number / frames * len(words) - index
        opacity = float(np.clip(min(phase, 1 - phase) * 6, 0, 1))
        out += (shape * opacity)[..., None] * (ink - out)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _landscape(rng: np.random.Generator) -> list[tuple[Picture, Floats, float]]:
    """Colour, opacity and speed (px per frame) of every layer, from far to near."""
    width = WIDTH + 40 + 32 * FRAMES + 40
    x = np.arange(width)
    rows = np.arange(HEIGHT)[:, None]
    sky = np.empty((HEIGHT, width, 3), np.float32)
    sky[:] = np.array([120, 170, 225]) + rows[..., None] / HEIGHT * np.array([110, 60, 0])
    clouds = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, width)).astype(np.float32), (0, 0), 22) * 60
    sky += np.clip(clouds, 0, 1)[..., None] * 45
    layers = [(_bytes(sky), np.ones((HEIGHT, width), np.float32), 1.0)]
    for base, roughness, colour, speed in (
        (150, 70, (118, 128, 150), 6.0), (215, 45, (92, 122, 84), 14.0), (280, 22, (66, 84, 44), 30.0),
    ):  # fmt: skip
        ridge = np.full(width, float(base))
        for octave in range(1, 6):
            ridge += roughness / 2**octave * np.sin(x / (260 / 1.9**octave) + rng.uniform(0, 6))
        cover = np.clip(rows - ridge[None], 0, 1).astype(np.float32)
        texture = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, width)).astype(np.float32), (0, 0), 1.2) * 34
        picture = np.array(colour, np.float32) + texture[..., None] + (rows - base)[..., None] * 0.12
        picture = _bytes(picture)
        if speed > 10:
            _trees(picture, cover, ridge, rng, speed)
        layers.append((picture, cover, speed))
    return layers


def _trees(
    picture: Picture, cover: Floats, ridge: NDArray[np.float64], rng: np.random.Generator, speed: float
) -> None:
    size = 1.8 * speed
    for at in np.arange(20, picture.shape[1], size * 1.5):
        column = int(at + rng.uniform(-size, size) / 3)
        foot = (column, int(ridge[min(column, len(ridge) - 1)]) + 4)
        top = foot[1] - int(size * rng.uniform(0.8, 1.6))
        green = tuple(int(c) for c in rng.uniform((20, 60, 25), (60, 110, 50)))
        for target, ink in ((picture, green), (cover, 1.0)):
            cv2.line(
                target,
                foot,
                (column, top),
                (70, 50, 35) if target is picture else 1.0,
                max(2, int(size / 10)),
            )
            cv2.circle(target, (column, top), int(size / 3), ink, -1, cv2.LINE_AA)


def _hud() -> tuple[Floats, Floats]:
    colour = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    cover = np.zeros((HEIGHT, WIDTH), np.float32)

    def put(ink: Floats, shape: Floats) -> None:
        colour[:] = colour + shape[..., None] * (ink - colour)
        cover[:] = np.maximum(cover, shape)

    def box(x: int, y: int, w: int, h: int, ink: tuple[int, int, int], alpha: float = 1.0) -> None:
        shape = np.zeros_like(cover)
        shape[y : y + h, x : x + w] = alpha
        put(np.broadcast_to(np.array(ink, np.float32), colour.shape).astype(np.float32), shape)

    box(14, 12, 190, 46, (18, 20, 30), 0.75)
    box(22, 40, 172, 10, (60, 20, 20))
    box(22, 40, 118, 10, (70, 220, 90))
    put(*_text("SCORE 004210", (22, 32), 0.6, (255, 235, 150)))
    disc = np.zeros_like(cover)
    cv2.circle(disc, (580, 62), 46, 1.0, -1, cv2.LINE_AA)
    put(np.broadcast_to(np.array((30, 44, 60), np.float32), colour.shape).astype(np.float32), disc)
    for place, ink in (((562, 50), (240, 80, 70)), ((596, 78), (90, 200, 255)), ((580, 62), (255, 255, 255))):
        dot = np.zeros_like(cover)
        cv2.circle(dot, place, 4, 1.0, -1, cv2.LINE_AA)
        put(np.broadcast_to(np.array(ink, np.float32), colour.shape).astype(np.float32), dot)
    ring = np.zeros_like(cover)
    cv2.circle(ring, (580, 62), 46, 1.0, 2, cv2.LINE_AA)
    for arm in ((-16, -5), (5, 16)):
        cv2.line(ring, (320 + arm[0], 190), (320 + arm[1], 190), 1.0, 2)
        cv2.line(ring, (320, 190 + arm[0]), (320, 190 + arm[1]), 1.0, 2)
    put(np.full_like(colour, 235), ring)
    return colour, cover


def _text(
    text: str, place: tuple[int, int], size: float, ink: tuple[int, int, int], centred: bool = False
) -> tuple[Floats, Floats]:
    """The colour and opacity of an outlined text."""
    if centred:
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, 2)
        place = (place[0] - width // 2, place[1])
    inner = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.putText(inner, text, place, cv2.FONT_HERSHEY_DUPLEX, size, 255, 1, cv2.LINE_AA)
    outer = cv2.dilate(inner, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    fill = (inner.astype(np.float32) / 255)[..., None]
    return fill * np.array(ink, np.float32), np.maximum(inner, outer).astype(np.float32) / 255


def _melody(seconds: float) -> list[av.AudioFrame]:
    time = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    notes = np.array([220.0, 277.18, 329.63, 440.0, 329.63, 277.18])[(time * 4).astype(int) % 6]
    wave = np.sin(2 * np.pi * np.cumsum(notes) / SOUND_RATE) * np.exp(-3 * (time * 4 % 1)) * 0.25
    chunks = []
    for at in range(0, len(wave), 1024):
        part = np.repeat(wave[None, at : at + 1024].astype(np.float32), 2, axis=0)
        chunk = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout="stereo")
        chunk.sample_rate, chunk.pts, chunk.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
        chunks.append(chunk)
    return chunks


def _bytes(picture: NDArray[np.floating]) -> Picture:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
