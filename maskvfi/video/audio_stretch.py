"""The sound of slow motion: stretched in time at the same pitch, and encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.stream import Stream

from maskvfi.errors import reason
from maskvfi.paths import PathLike
from maskvfi.video.streams import open_input

_ENCODERS = {"opus": "libopus", "vorbis": "libopus", "mp3": "libmp3lame", "flac": "flac", "aac": "aac"}
_MIN_TEMPO = Fraction(1, 2)  # of one atempo filter; a lower tempo takes several in a row


class StretchedSound:
    """The sound of a file, stretched in time; in slow motion it takes the place of `CopiedStreams`.

    Output time is `slow` times the source's time from `picture_start`, minus `shift`. Streams that are neither picture
    nor sound are left out, with a line in `warnings`.

    Args:
        path: The file with the sound.
        output: The container to mux into.
        picture_start: The time of the source's first frame, in seconds.
        slow: How many times longer the output lasts.
        start: Where the sound begins, in seconds from `picture_start`.
        end: Where it ends, in the same seconds.

    Attributes:
        warnings: What is left out, one line each.
        shift: The stretched time at which the output begins, in seconds.

    Raises:
        MediaError: The file cannot be read.
    """

    def __init__(
        self,
        path: PathLike,
        output: OutputContainer,
        picture_start: Fraction,
        slow: Fraction,
        start: Fraction | None = None,
        end: Fraction | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._output = output
        self._source, self._name = open_input(path)
        self._begin = picture_start + (start or 0)
        self._end = None if end is None else picture_start + end
        self.shift = picture_start + (start or 0) * slow
        self._tracks = [_Track(stream, output, slow) for stream in self._source.streams.audio]
        if any(stream.type not in ("audio", "video") for stream in self._source.streams):
            self.warnings.append(f"{self._name}: subtitles and other streams are left out of slow motion")
        self._decoded = self._decode()

    def copy_picture_tags(self, target: Stream) -> None:
        """Copy the title and language of the file."""
        self._output.metadata.update(
            {k: v for k, v in self._source.metadata.items() if k in ("title", "language")}
        )

    def advance(self, until: Fraction | None) -> None:
        """Encode the sound up to a time.

        Args:
            until: Output time plus `shift`, in seconds; None for all that is left.
        """
        while until is None or any(track.time + self.shift <= until for track in self._tracks):
            if (found := next(self._decoded, None)) is None:
                break
            track, frame = found
            track.push(frame, self._begin, self._end)
        if until is None:
            for track in self._tracks:
                track.finish()

    def close(self) -> None:
        """Close the source."""
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
            self.warnings.append(f"{self._name}: reading its sound stopped early ({reason(error)})")


class _Track:
    """One sound stream, through atempo filters into an encoder; `time` is the output time reached, in seconds."""

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
        self._samples = 0  # that are encoded
        self._offset: Fraction | None = None  # output time of the first one

    def push(self, frame: AudioFrame, begin: Fraction, end: Fraction | None) -> None:
        """Stretch and encode a frame, if it lies between `begin` and `end` (seconds of the source)."""
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
        """Encode what the filters and the encoder still hold."""
        if self._graph is not None:
            self._graph.push(None)
            self._drain()
        self._output.mux(self._target.encode(None))

    def _filters(self) -> Graph:
        graph = Graph()
        chain = [graph.add_abuffer(template=self.source)]
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
            self.time = self._offset + Fraction(self._samples, self._rate)
            self._output.mux(self._target.encode(frame))
