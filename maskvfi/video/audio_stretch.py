"""The sound of slow motion: stretched in time at the same pitch, and encoded again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

_ENCODERS = {"opus": "libopus", "vorbis": "libopus", "mp3": "libmp3lame", "flac": "flac", "aac": "aac"}
# The layouts of sound that says only how many channels it has, as PCM in AVI and Matroska does.
_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo", "6 channels": "5.1", "8 channels": "7.1"}
_MIN_TEMPO = Fraction(1, 2)  # of one atempo filter; a lower tempo takes several in a row


class StretchedTrack:
    """One sound stream, through atempo filters into an encoder.

    Args:
        source: The stream.
        output: The container to mux into.
        slow: How many times longer the sound lasts.

    Attributes:
        target: The stream of the output.
    """

    def __init__(self, source: AudioStream, output: OutputContainer, slow: Fraction) -> None:
        self._slow, self._output = slow, output
        self._rate = source.codec_context.sample_rate
        self._own = _kind(self._rate, source.codec_context.layout)
        webm = output.format.name == "webm"
        codec = "libopus" if webm else _ENCODERS.get(source.codec_context.name, "aac")
        rate = 48000 if codec == "libopus" else self._rate
        layout = source.codec_context.layout.name
        target = output.add_stream(codec, rate=rate, layout=_LAYOUTS.get(layout, layout))
        assert isinstance(target, AudioStream)
        samples = source.codec_context.format.name
        if samples in {each.name for each in target.codec_context.codec.audio_formats or ()}:
            target.codec_context.format = samples  # FLAC of 24 bits stays so
        self.target = target
        self._graph: Graph | None = None
        self._taken = ""  # what kind of sound the graph takes
        self._other = ""  # the last kind that is not the stream's own
        self._samples = 0  # that are encoded
        self._offset: Fraction | None = None  # output time of the first one

    def take(self, packet: Packet, begin: Fraction, end: Fraction | None) -> str:
        """Decode, stretch and encode a packet.

        Args:
            packet: The next one of the stream.
            begin: Sound before this time is left out, in seconds of the source.
            end: Sound from this time on is left out too.

        Returns:
            What could not be kept of the stream so far, in words; empty if all could.
        """
        stretched: list[AudioFrame] = []
        try:
            for frame in packet.decode():
                assert isinstance(frame, AudioFrame)
                stretched += self._push(frame, begin, end)
        except av.error.FFmpegError:
            return "is damaged: parts are left out"
        self._encode(stretched)
        own = self.target.codec_context
        return self._other and f"is partly {self._other}: written as {_kind(own.sample_rate, own.layout)}"

    def finish(self) -> None:
        """Encode what the filters and the encoder still hold."""
        self._encode(self._rest())
        self._output.mux(self.target.encode(None))

    def _push(self, frame: AudioFrame, begin: Fraction, end: Fraction | None) -> Iterator[AudioFrame]:
        """Stretch a frame; yields what is ready. The filters take one kind of sound: another gets new ones."""
        at = (frame.pts or 0) * Fraction(frame.time_base or Fraction(1, self._rate))
        if at + Fraction(frame.samples, frame.sample_rate) <= begin or (end is not None and at >= end):
            return
        if self._offset is None:
            self._offset = max(Fraction(0), (at - begin) * self._slow)
        kind = _kind(frame.sample_rate, frame.layout)
        if self._graph is None or self._taken != f"{kind} {frame.format.name}":
            graph = self._filters(frame)
            yield from self._rest()
            self._graph, self._taken = graph, f"{kind} {frame.format.name}"
            self._other = self._other if kind == self._own else kind
        self._graph.push(frame)
        yield from _ready(self._graph)

    def _rest(self) -> Iterator[AudioFrame]:
        """What the filters still hold."""
        if self._graph is not None:
            self._graph.push(None)
            yield from _ready(self._graph)

    def _filters(self, first: AudioFrame) -> Graph:
        """Filters that stretch frames like the first one, and give them the rate, layout and format of the target."""
        graph = Graph()
        chain = [
            graph.add_abuffer(
                sample_rate=first.sample_rate,
                format=first.format.name,
                layout=first.layout.name,
                time_base=first.time_base,
            )
        ]
        tempo = 1 / self._slow
        while tempo < _MIN_TEMPO:
            chain.append(graph.add("atempo", str(float(_MIN_TEMPO))))
            tempo /= _MIN_TEMPO
        own = self.target.codec_context
        same = graph.add(
            "aformat",
            sample_rates=str(self._rate),
            channel_layouts=own.layout.name,
            sample_fmts=own.format.name,
        )
        chain += [graph.add("atempo", str(float(tempo))), same, graph.add("abuffersink")]
        graph.link_nodes(*chain).configure()
        return graph

    def _encode(self, frames: Iterable[AudioFrame]) -> None:
        for frame in frames:
            assert self._offset is not None
            frame.time_base = Fraction(1, self._rate)
            frame.pts = round(self._offset * self._rate) + self._samples
            self._samples += frame.samples
            self._output.mux(self.target.encode(frame))


def _ready(graph: Graph) -> Iterator[AudioFrame]:
    """The frames that a graph has made."""
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame


def _kind(rate: int, layout: AudioLayout) -> str:
    return f"{rate} Hz {layout.name}"
