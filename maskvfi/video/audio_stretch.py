"""Sound that is encoded again: that of slow motion, stretched at the same pitch, and what a container does not hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

from maskvfi.errors import reason
from maskvfi.video.audio_choice import choose_audio

BEGIN_AT_0 = ("avi", "mxf")  # containers whose sound has no times: it begins with the picture
# The tempos of one atempo filter. Above them it skips samples, so other tempos take several filters in a row.
_TEMPOS = (Fraction(1, 2), Fraction(2))
_PAUSE = Fraction(1, 20)  # seconds: less is no gap, but times that were rounded
_TAIL = Fraction(1, 10)  # seconds: atempo drops less than that of what it gets last
_Kind = tuple[int, str, str]  # rate, sample format and layout of sound


class StretchedTrack:
    """One sound stream, through atempo filters into an encoder.

    A pause, where the times of the stream jump ahead, is filled with silence. Where frames overlap the first counts.

    Args:
        source: The stream.
        output: The container to mux into.
        slow: How many times longer the sound lasts.
        refused: Whether the container does not hold the stream's own codec.

    Attributes:
        target: The stream of the output.
        codec: FFmpeg's name of the encoder.
        lost: What the output cannot keep of the stream, in words; empty if it keeps all.

    Raises:
        ValueError: The container holds no such sound, or there are no filters for it.
    """

    def __init__(
        self, source: AudioStream, output: OutputContainer, slow: Fraction, refused: bool = False
    ) -> None:
        own = source.codec_context
        encoding = None if own is None else choose_audio(own, output, refused)
        if encoding is None:
            raise ValueError("cannot hold it")
        self._slow, self._output, self._encoding = slow, output, encoding
        self.codec = encoding.codec
        self._filters((own.sample_rate, own.format.name, own.layout.name))  # raises if there are none
        self.target = encoding.add_to(output)
        self._own = f"{own.sample_rate} Hz {own.layout.name}"
        self._written = f"{encoding.rate} Hz {encoding.layout}"
        less = encoding.rate < own.sample_rate or self.target.codec_context.channels < own.channels
        self.lost = f"is {self._own}: written as {self._written}" if less else ""
        self._graph: Graph | None = None
        self._kind: _Kind = (0, "", "")  # that the graph takes
        self._other = ""  # the last kind that is not the stream's own
        self._ends: Fraction | None = None  # the last frame, by its time in the source
        self._overlaps = False  # whether a frame began before the one before it had ended
        self._reached: Fraction | None = None  # the time of the source up to which there is sound
        self._position = 0  # of the next sample in the output
        self._end = 0  # the position at which the sound that the filters got ends

    def take(self, packet: Packet, begin: Fraction, end: Fraction | None) -> str:
        """Decode, stretch and encode a packet.

        Args:
            packet: The next one of the stream.
            begin: Sound before this time is left out, in seconds of the source.
            end: Sound from this time on is left out too.

        Returns:
            What could not be kept of the stream so far, in words; empty if all could.
        """
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return "is damaged: parts are left out"
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            at = self._time_of(frame, begin)
            rate = frame.sample_rate
            first = max(0, math.ceil((begin - at) * rate))
            if self._ends is not None and self._ends - at > _PAUSE:
                first, self._overlaps = max(first, math.ceil((self._ends - at) * rate)), True
            self._ends = at + Fraction(frame.samples, rate)
            last = frame.samples if end is None else min(frame.samples, math.ceil((end - at) * rate))
            if first >= last:
                continue
            try:
                self._fit(frame)
            except (av.error.FFmpegError, ValueError) as error:
                return f"cannot be stretched: parts are left out ({reason(error)})"
            self._push(_part(frame, first, last), at + Fraction(first, rate), begin)
        if self._overlaps:
            return "has parts that overlap: there the first one counts"
        return self._other and f"is partly {self._other}: written as {self._written}"

    def finish(self) -> None:
        """Encode what the filters and the encoder still hold."""
        self._encode(self._rest())
        self._output.mux(self.target.encode(None))

    def _time_of(self, frame: AudioFrame, begin: Fraction) -> Fraction:
        """When a frame begins, in seconds of the source; one without a time follows the one before."""
        if frame.pts is None:
            return begin if self._reached is None else self._reached
        return frame.pts * Fraction(frame.time_base or Fraction(1, frame.sample_rate))

    def _fit(self, frame: AudioFrame) -> None:
        """Make filters that take the frame. They take one kind of sound: another gets new ones."""
        kind = (frame.sample_rate, frame.format.name, frame.layout.name)
        if self._graph is not None and self._kind == kind:
            return
        graph = self._filters(kind)
        self._encode(self._rest())
        self._graph, self._kind = graph, kind
        words = f"{frame.sample_rate} Hz {frame.layout.name}"
        self._other = self._other if words == self._own else words

    def _push(self, frame: AudioFrame, at: Fraction, begin: Fraction) -> None:
        """Stretch and encode a frame, after the silence of a pause before it.

        Args:
            frame: What the filters take.
            at: When it begins, in seconds of the source.
            begin: The time of the source at which the output begins.
        """
        if self._reached is None:
            self._reached = at
            self._begin_at(self._place(at - begin))
        elif at - self._reached > _PAUSE:
            self._encode(self._rest())
            self._fit(frame)
            own = self._encoding
            pause = self._place(at - begin) - self._position
            self._encode(_silence((own.rate, own.samples, own.layout), pause))
            self._reached = at
        self._reached += Fraction(frame.samples, frame.sample_rate)
        self._end = self._place(self._reached - begin)
        assert self._graph is not None
        self._graph.push(frame)
        self._encode(_ready(self._graph))

    def _begin_at(self, position: int) -> None:
        """Let the sound begin at a position; where it has to begin at 0, after silence."""
        if self._output.format.name not in BEGIN_AT_0 or position <= 0:
            self._position = position
            return
        self._encode(_silence((self._encoding.rate, self._encoding.samples, self._encoding.layout), position))

    def _place(self, time: Fraction) -> int:
        """The position of a sample in the output, from its time in the source."""
        return round(time * self._slow * self._encoding.rate)

    def _rest(self) -> Iterator[AudioFrame]:
        """What the filters still hold; after that there are none."""
        if self._graph is None:
            return
        graph, self._graph = self._graph, None
        for frame in _silence(self._kind, round(_TAIL * max(Fraction(1), 1 / self._slow) * self._kind[0])):
            graph.push(frame)
        graph.push(None)
        for frame in _ready(graph):
            if self._position < self._end:
                yield _part(frame, 0, min(frame.samples, self._end - self._position))

    def _filters(self, kind: _Kind) -> Graph:
        """Filters that stretch sound of a kind, and give it the rate, layout and format of the target."""
        graph, (rate, samples, layout) = Graph(), kind
        chain = [graph.add_abuffer(sample_rate=rate, format=samples, layout=layout)]
        chain += [graph.add("atempo", str(float(tempo))) for tempo in _tempos(1 / self._slow)]
        own = self._encoding
        same = graph.add(
            "aformat", sample_rates=str(own.rate), channel_layouts=own.layout, sample_fmts=own.samples
        )
        graph.link_nodes(*chain, same, graph.add("abuffersink")).configure()
        return graph

    def _encode(self, frames: Iterable[AudioFrame]) -> None:
        for frame in frames:
            frame.time_base, frame.pts = Fraction(1, self._encoding.rate), self._position
            self._position += frame.samples
            self._output.mux(self.target.encode(frame))


def _tempos(tempo: Fraction) -> list[Fraction]:
    """The tempos of filters in a row that make one together, within `_TEMPOS` each; none for sound as it is."""
    low, high = _TEMPOS
    row = []
    while not low <= tempo <= high:
        row.append(low if tempo < low else high)
        tempo /= row[-1]
    return row if tempo == 1 else [*row, tempo]


def _part(frame: AudioFrame, first: int, last: int) -> AudioFrame:
    """The samples of a frame from one number up to another.

    A filter cuts them: PyAV reads and writes beyond the planes of a planar frame of eight channels.
    """
    if (first, last) == (0, frame.samples):
        return frame
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name),
        graph.add("atrim", start_sample=str(first), end_sample=str(last)),
        graph.add("abuffersink"),
    ).configure()
    graph.push(frame)
    return next(_ready(graph))


def _ready(graph: Graph) -> Iterator[AudioFrame]:
    """The frames that a graph has made."""
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, AudioFrame)
        yield frame


def _silence(kind: _Kind, length: int) -> Iterator[AudioFrame]:
    """So many samples of silence, in short frames."""
    rate, samples, layout = kind
    graph = Graph()
    graph.link_nodes(
        graph.add("anullsrc", sample_rate=str(rate), channel_layout=layout, nb_samples="4096"),
        graph.add("atrim", end_sample=str(length)),
        graph.add("aformat", sample_rates=str(rate), channel_layouts=layout, sample_fmts=samples),
        graph.add("abuffersink"),
    ).configure()
    yield from _ready(graph)
