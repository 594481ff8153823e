"""The sound of slow motion: stretched in time at the same pitch, and encoded again."""

from __future__ import annotations

from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

_ENCODERS = {"opus": "libopus", "vorbis": "libopus", "mp3": "libmp3lame", "flac": "flac", "aac": "aac"}
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
        self._source, self._slow, self._output = source, slow, output
        self._rate = source.codec_context.sample_rate
        webm = output.format.name == "webm"
        codec = "libopus" if webm else _ENCODERS.get(source.codec_context.name, "aac")
        rate = 48000 if codec == "libopus" else self._rate
        target = output.add_stream(codec, rate=rate, layout=source.codec_context.layout.name)
        assert isinstance(target, AudioStream)
        self.target = target
        self._graph: Graph | None = None
        self._samples = 0  # that are encoded
        self._offset: Fraction | None = None  # output time of the first one

    def take(self, packet: Packet, begin: Fraction, end: Fraction | None) -> bool:
        """Decode, stretch and encode a packet.

        Args:
            packet: The next one of the stream.
            begin: Sound before this time is left out, in seconds of the source.
            end: Sound from this time on is left out too.

        Returns:
            Whether the packet could be decoded; if not, it is left out.
        """
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return False
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            self._push(frame, begin, end)
        return True

    def _push(self, frame: AudioFrame, begin: Fraction, end: Fraction | None) -> None:
        at = (frame.pts or 0) * Fraction(frame.time_base or Fraction(1, self._rate))
        if at + Fraction(frame.samples, frame.sample_rate) <= begin or (end is not None and at >= end):
            return
        if self._offset is None:
            self._offset = max(Fraction(0), (at - begin) * self._slow)
            self._graph = self._filters()
        assert self._graph is not None
        self._graph.push(frame)
        self._drain()

    def finish(self) -> None:
        """Encode what the filters and the encoder still hold."""
        if self._graph is not None:
            self._graph.push(None)
            self._drain()
        self._output.mux(self.target.encode(None))

    def _filters(self) -> Graph:
        graph = Graph()
        chain = [graph.add_abuffer(template=self._source)]
        tempo = 1 / self._slow
        while tempo < _MIN_TEMPO:
            chain.append(graph.add("atempo", str(float(_MIN_TEMPO))))
            tempo /= _MIN_TEMPO
        chain += [graph.add("atempo", str(float(tempo))), graph.add("abuffersink")]
        graph.link_nodes(*chain).configure()
        return graph

    def _drain(self) -> None:
        """Encode what the filters give."""
        assert self._graph is not None
        assert self._offset is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            frame.time_base = Fraction(1, self._rate)
            frame.pts = round(self._offset * self._rate) + self._samples
            self._samples += frame.samples
            self._output.mux(self.target.encode(frame))
