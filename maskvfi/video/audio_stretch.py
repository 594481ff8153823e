"""The sound of slow motion: stretched in time at the same pitch, and encoded anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.stream import Stream

from maskvfi.video.streams import open_input

_ENCODERS = {"opus": "libopus", "vorbis": "libopus", "mp3": "libmp3lame", "flac": "flac", "aac": "aac"}
_SLOWEST = Fraction(1, 2)  # of one atempo filter; slower takes several in a row


class StretchedSound:
    """Takes the place of `CopiedStreams` where time is stretched by `slow`: all sound, nothing else.

    Output time is `slow` times the source's, counted from `picture_start`, less `shift`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        output: OutputContainer,
        picture_start: Fraction,
        slow: Fraction,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._output, self._slow = output, slow
        self._source, self._name = open_input(path)
        self._begin = picture_start + (start or 0)
        self._end = None if end is None else picture_start + end
        self.shift = picture_start + (start or 0) * slow
        self._tracks = [_Track(stream, output, slow) for stream in self._source.streams.audio]
        if any(stream.type not in ("audio", "video") for stream in self._source.streams):
            self.warnings.append(f"{self._name}: subtitles and other streams are left out of slow motion")
        self._decoded = self._decode()

    def copy_picture_tags(self, target: Stream) -> None:
        """Title and language of the file."""
        self._output.metadata.update(
            {k: v for k, v in self._source.metadata.items() if k in ("title", "language")}
        )

    def advance(self, until: Fraction | None) -> None:
        """Encode the sound up to this output time (plus shift); all that is left where it is None."""
        while until is None or any(track.time + self.shift <= until for track in self._tracks):
            if (found := next(self._decoded, None)) is None:
                break
            track, frame = found
            track.push(frame, self._begin, self._end)
        if until is None:
            for track in self._tracks:
                track.finish()

    def close(self) -> None:
        self._source.close()

    def _decode(self) -> Iterator[tuple[_Track, AudioFrame]]:
        if not self._tracks:
            return
        by_index = {track.index: track for track in self._tracks}
        try:
            for packet in self._source.demux([track.source for track in self._tracks]):
                for frame in packet.decode():
                    assert isinstance(frame, AudioFrame)
                    yield by_index[packet.stream.index], frame
        except av.error.FFmpegError as error:
            reason = str(error.strerror or error).lower()
            self.warnings.append(f"{self._name}: reading its sound stopped early ({reason})")


class _Track:
    """One sound stream through atempo into an encoder; `time` is the output time it has reached."""

    def __init__(self, source: AudioStream, output: OutputContainer, slow: Fraction) -> None:
        self.source, self.index, self.time = source, source.index, Fraction(0)
        self._slow, self._output = slow, output
        self._rate = source.codec_context.sample_rate
        webm = output.format.name == "webm"
        codec = "libopus" if webm else _ENCODERS.get(source.codec_context.name, "aac")
        rate = 48000 if codec == "libopus" else self._rate
        target = output.add_stream(codec, rate=rate, layout=source.codec_context.layout.name)
        assert isinstance(target, AudioStream)
        self._target = target
        self._target.metadata.update({k: v for k, v in source.metadata.items() if k in ("title", "language")})
        self._graph: Graph | None = None
        self._samples = 0
        self._offset: Fraction | None = None

    def push(self, frame: AudioFrame, begin: Fraction, end: Fraction | None) -> None:
        at = (frame.pts or 0) * Fraction(frame.time_base or Fraction(1, self._rate))
        if at + Fraction(frame.samples, frame.sample_rate) <= begin or (end is not None and at >= end):
            self.time = max(self.time, (at - begin) * self._slow)
            return
        if self._offset is None:
            self._offset = max(Fraction(0), (at - begin) * self._slow)
            self._graph = self._filters()
        assert self._graph is not None
        self._graph.push(frame)
        self._drain()

    def finish(self) -> None:
        if self._graph is not None:
            self._graph.push(None)
            self._drain()
        self._output.mux(self._target.encode(None))

    def _filters(self) -> Graph:
        graph = Graph()
        chain = [graph.add_abuffer(template=self.source)]
        tempo = 1 / self._slow
        while tempo < _SLOWEST:
            chain.append(graph.add("atempo", str(float(_SLOWEST))))
            tempo /= _SLOWEST
        chain += [graph.add("atempo", str(float(tempo))), graph.add("abuffersink")]
        graph.link_nodes(*chain).configure()
        return graph

    def _drain(self) -> None:
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
            self.time = self._offset + Fraction(self._samples, self._rate)
            self._output.mux(self._target.encode(frame))
