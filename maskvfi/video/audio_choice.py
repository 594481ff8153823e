"""Which encoder, sample rate and layout a container takes of a sound that is encoded again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer

_ENCODERS = {"opus": "libopus", "vorbis": "libopus", "mp3": "libmp3lame", "flac": "flac", "aac": "aac"}
_USUAL_RATES = (48000, 44100)  # of encoders that list none
_USUAL_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")  # of one to eight channels


@dataclass(frozen=True)
class AudioEncoding:
    """What a stream of sound is encoded with.

    Attributes:
        codec: FFmpeg's name of the encoder.
        rate: Samples per second.
        layout: FFmpeg's name of the channel layout.
        samples: FFmpeg's name of the sample format.
    """

    codec: str
    rate: int
    layout: str
    samples: str

    def add_to(self, output: OutputContainer) -> AudioStream:
        """Add a stream with this encoding to a container.

        Raises:
            ValueError: The container does not take the encoder.
        """
        stream = output.add_stream(self.codec, rate=self.rate, layout=self.layout)
        assert isinstance(stream, AudioStream)
        stream.codec_context.format = self.samples
        return stream


def choose_audio(
    source: AudioCodecContext, output: OutputContainer, refused: bool = False
) -> AudioEncoding | None:
    """Choose how a stream of sound is encoded again.

    Encoders and containers refuse rates and layouts that they do not list, so each choice is tried in a container of
    the same format. The number of channels is kept before the codec, and the codec before the rate.

    Args:
        source: The decoder of the stream.
        output: The container that is to hold it.
        refused: Whether the container does not hold the stream's own codec.

    Returns:
        The encoding; None if the container holds no such sound.
    """
    muxer = output.format.name
    choices = _choices(source, output, refused)
    if muxer == "mxf":  # cannot be tried without pictures; FFmpeg writes this rate alone
        return next((each for each in choices if each.rate == 48000), None)
    return next((each for each in choices if _opens(each, muxer)), None)


def _choices(source: AudioCodecContext, output: OutputContainer, refused: bool) -> Iterator[AudioEncoding]:
    """What may be tried, the best first."""
    default = output.default_audio_codec
    plain = source.name.startswith(("pcm_", "adpcm_")) and output.format.name == "matroska"
    own = "flac" if plain else _ENCODERS.get(source.name, "aac")
    names = ["aac" if refused and own == source.name else own, _ENCODERS.get(default, default), "ac3"]
    if output.format.name == "mxf":
        names = ["pcm_s16le" if source.format.bytes == 2 else "pcm_s24le"]
    for layout in _layouts(source):
        for codec in dict.fromkeys(names):
            try:
                encoder = av.Codec(codec, "w")
            except UnknownCodecError:
                continue
            taken = [each.name for each in encoder.audio_formats or ()]
            kept = source.format.name in taken  # FLAC of 24 bits stays so
            samples = source.format.name if kept else taken[0]
            for rate in _rates(source.sample_rate, encoder.audio_rates):
                yield AudioEncoding(codec, rate, layout, samples)


def _layouts(source: AudioCodecContext) -> list[str]:
    """The stream's own layout, the usual one of as many channels, and those of fewer."""
    count = source.layout.nb_channels
    own = [source.layout.name]
    if own == [f"{count} channels"]:  # PCM in AVI and Matroska says no more
        own = []
    usual = [*_USUAL_LAYOUTS[count - 1 : count], *(("stereo", "mono") if count > 2 else ())]
    return list(dict.fromkeys([*own, *usual]))


def _rates(own: int, listed: list[int] | None) -> list[int]:
    """The rates of an encoder: those that lose nothing, the nearest first, and then lower ones."""
    rates = {own, *_USUAL_RATES} if listed is None else set(listed)
    return sorted(rates, key=lambda rate: (rate < own, abs(rate - own)))


def _opens(encoding: AudioEncoding, muxer: str) -> bool:
    """Whether a container takes the stream, and its encoder starts."""
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            encoding.add_to(trial)
            trial.start_encoding()
    except (av.error.FFmpegError, OSError, ValueError):
        return False
    return True
