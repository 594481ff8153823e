"""Small videos for tests, made with PyAV, and what is needed to look into the results."""

from __future__ import annotations

import hashlib
import io
import itertools
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from maskvfi.video import Frame, VideoReader, VideoWriter
from maskvfi.video.pixel_format import PixelFormat
from maskvfi.video.pixels import frame_of, planar_name

LOSSLESS = {
    "libx264": {"qp": "0", "preset": "ultrafast"},
    "libx265": {"x265-params": "lossless=1"},
    "ffv1": {},
}


_FAST = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
}


def picture(n: int, width: int, height: int, name: str) -> av.VideoFrame:
    """A moving gradient with noise, different for every n."""
    fmt = PixelFormat.parse(planar_name(name) or "")
    rng = np.random.default_rng(n)
    planes = []
    for rows, columns in fmt.plane_shapes(width, height):
        y, x = np.mgrid[:rows, :columns]
        ramp = (x * 2 + y + n * 3) % 160 + 40 + rng.integers(0, 4, (rows, columns))
        planes.append((ramp * 2 ** (fmt.depth - 8)).astype(fmt.dtype))
    return frame_of(planes, width, height, name)


def make_clip(
    path: Path,
    *,
    times: Sequence[int] | int = 12,
    time_base: Fraction = Fraction(1, 25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    audio: str | None = None,
    subtitles: Sequence[tuple[int, int, str]] = (),
    chapters: Sequence[tuple[int, int, str]] = (),
    font: bytes = b"",
    tags: dict[str, str] | None = None,
    rotation: int = 0,
    aspect: Fraction = Fraction(1),
    colour: tuple[int, int, int, int] = (1, 1, 1, 1),
    audio_start: Fraction = Fraction(0),
    container_options: dict[str, str] | None = None,
) -> Path:
    """A video with frames at `times` (ticks; a number means that many), a sine, subtitles and chapters in ms.

    `colour` is (matrix, range, primaries, transfer). The last frame lasts as long as the one before.
    """
    ticks = range(times) if isinstance(times, int) else times
    with av.open(str(path), "w", container_options=container_options or {}) as out:
        out.metadata.update(tags or {})
        video = out.add_stream(
            codec, rate=1 / time_base, options=dict(_FAST.get(codec, {}) if options is None else options)
        )
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.time_base = video.time_base = time_base
        video.codec_context.sample_aspect_ratio = aspect
        context = video.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = colour
        if rotation:
            video.set_display_rotation(rotation)
        sound = out.add_stream(audio, rate=48000) if audio else None
        if sound:
            sound.metadata.update({"language": "deu", "title": "Ton"})
        text = out.add_stream_from_template(_srt_template()) if subtitles else None
        if text:
            text.metadata["language"] = "fra"
            text.disposition = av.stream.Disposition.forced
        if font:
            out.add_attachment("font.ttf", "application/x-truetype-font", font)
        if chapters:
            out.set_chapters(
                [
                    {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": t}}
                    for n, (a, b, t) in enumerate(chapters)
                ]
            )
        out.start_encoding()
        for begin, length, line in subtitles:
            packet = Packet(line.encode())
            packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), begin, begin
            packet.duration, packet.stream = length, text
            out.mux(packet)
        gaps = [b - a for a, b in itertools.pairwise(ticks)]
        durations = dict(zip(ticks, [*gaps, gaps[-1] if gaps else 1], strict=True))
        for n, tick in enumerate(ticks):
            frame = picture(n, *size, pix_fmt)
            frame.pts, frame.time_base = tick, time_base
            _mux(out, video.encode(frame), durations)
        _mux(out, video.encode(None), durations)
        if sound:
            _mux_sine(out, sound, (ticks[-1] + durations[ticks[-1]]) * time_base, audio_start)
    return path


def _mux(out: av.container.OutputContainer, packets: list[Packet], durations: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = durations[packet.pts]
        out.mux(packet)


def _mux_sine(
    out: av.container.OutputContainer, sound: av.AudioStream, length: Fraction, start: Fraction
) -> None:
    size = sound.codec_context.frame_size or 1024
    resampler = av.AudioResampler(sound.codec_context.format.name, "stereo", 48000)
    for at in range(int(start * 48000), int(length * 48000), size):
        wave = np.sin(np.arange(at, at + size) / 20).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
        for resampled in resampler.resample(frame):
            out.mux(sound.encode(resampled))
    out.mux(sound.encode(None))


def _srt_template() -> av.subtitles.stream.SubtitleStream:
    """A stream to copy the set-up of: PyAV cannot mux plain SubRip text without one."""
    script = io.BytesIO(b"1\n00:00:00,000 --> 00:00:01,000\nx\n")
    return av.open(script, format="srt").streams.subtitles[0]


def digest(frame: Frame) -> str:
    return hashlib.md5(b"".join(plane.tobytes() for plane in frame.planes)).hexdigest()


def read(path: Path, **window: Any) -> list[tuple[Fraction, Fraction, str]]:
    """(pts, duration, digest of the planes) of every frame."""
    with VideoReader(path, **window) as reader:
        return [(frame.pts, frame.duration, digest(frame)) for frame in reader]


def copy(
    source: Path, target: Path, *, codec: str = "libx264", native: bool = True, **more: object
) -> list[str]:
    """Read and write every frame, as an interpolation that adds none; returns the writer's warnings."""
    window = {key: more[key] for key in ("start", "end") if key in more}
    more.setdefault("options", LOSSLESS.get(codec, {}))
    with (
        VideoReader(source, **window) as reader,
        VideoWriter(
            target, reader.info, rate=reader.info.rate, codec=codec, copy_from=source, **more
        ) as writer,
    ):
        for frame in reader:
            if not native:
                frame.native = None
            writer.write(frame)
    return writer.warnings


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """(pts in seconds, payload) of every packet of the first stream of this kind."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def sound_of(path) -> np.ndarray:
    """The samples of the first channel."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def pitch(samples: np.ndarray) -> float:
    """The loudest frequency, in Hz of 48000 samples a second."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 48000 / len(samples))


def ffmpeg(*arguments: object) -> None:
    """Run FFmpeg's command, which overwrites."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def remuxed(source: Path, target: Path, changed: Callable[[Packet], Packet | None]) -> Path:
    """Copy the packets of a file as `changed` returns them; None leaves one out."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as out:
        targets = {s.index: out.add_stream_from_template(s, opaque=True) for s in whole.streams}
        for packet in whole.demux():
            stream = targets[packet.stream.index]
            if packet.size and (written := changed(packet)) is not None:
                written.stream = stream
                out.mux(written)
    return target
