"""Whether a video was read whole: what of it is damaged, and whether it ends before the length that it states."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
from av.packet import Packet
from av.video.stream import VideoStream

from maskvfi.errors import MediaError, reason
from maskvfi.video.clock_jumps import may_jump
from maskvfi.video.streams import has_times, rate_of, start_of

_MAX_LOST = Fraction(1, 4)  # seconds: no player shows the leading pictures of an open GOP
_APART = Fraction(3, 4)  # frames: the second field of a frame may be a packet half a frame later


class Completeness:
    """Notes what is read of a stream, and says at its end what was missing.

    Packets that cannot be decoded are only counted, as long as frames follow. A decoder with several threads does not
    always say that it could not decode one, so packets at whose time no frame is shown are counted as well.

    Args:
        name: What messages call the file.
        stream: The stream that is read.
        short: Whether the file has fewer bytes than it says. Others may end a second early.

    Attributes:
        frames: How many frames were decoded.
    """

    def __init__(self, name: str, stream: VideoStream, short: bool = False) -> None:
        self.frames = 0
        self._name, self._stream, self._short = name, stream, short
        self._time = Fraction(0)  # of the last frame, in seconds
        self._stored: Fraction | None = None  # the earliest time of a packet before the first frame
        self._lost = Fraction(0)  # seconds from there to the first frame
        self._reached = Fraction(0)  # where the last packet ends, in seconds
        self._bytes: int | None = None  # where it ends in the file
        self._packets_damaged, self._frames_damaged = 0, 0
        self._apart = _APART / (rate_of(stream) or Fraction(25))
        self._timed = has_times(stream)
        self._waiting: set[Fraction] = set()  # times of packets at which no frame was shown yet
        self._never_shown = 0
        self._leading = True  # the next frame is the first one of the file, or after a seek
        self._cut = False  # whether the last packet was stored only in part
        self._failure: av.error.FFmpegError | None = None  # since the last frame

    def note_packet(self, packet: Packet) -> None:
        """Note a packet that is about to be decoded."""
        self._packets_damaged += self._cut
        self._cut = packet.is_corrupt
        stamps = [stamp for stamp in (packet.pts, packet.dts) if stamp is not None]
        time = None if packet.pts is None else packet.pts * Fraction(packet.time_base)
        if time is not None and not self.frames and not packet.is_discard:
            self._stored = time if self._stored is None else min(self._stored, time)
        if stamps:
            end = (max(stamps) + (packet.duration or 0)) * Fraction(packet.time_base)
            self._reached = max(self._reached, end)
        self._bytes = None if packet.pos is None else packet.pos + packet.size
        may_show = self._timed and not packet.is_discard
        if may_show and time is not None and (self._leading or time >= self._time + self._apart):
            self._waiting.add(time)

    def note_undecodable(self, error: av.error.FFmpegError) -> None:
        """Note a packet that could not be read or decoded. It counts only after a frame: many files begin so."""
        self._failure = error
        self._packets_damaged += self.frames > 0 and not self._cut

    def note_frame(self, frame: av.VideoFrame, time: Fraction | None) -> None:
        """Note a decoded frame and its time in seconds, if it has one."""
        if not self.frames and time is not None and self._stored is not None:
            self._lost = time - self._stored
        if time is not None:
            passed = {each for each in self._waiting if each < time + self._apart}
            self._waiting -= passed
            if not self._leading:
                self._never_shown += sum(each <= time - self._apart for each in passed)
            self._leading = False
        self.frames += 1
        self._time = self._time if time is None else time
        self._frames_damaged += frame.is_corrupt
        self._failure = None

    def note_seek(self) -> None:
        """Note that reading goes on elsewhere."""
        self._waiting.clear()
        self._leading = True

    def note_end(self) -> None:
        """Note that nothing is left to decode. A last packet that is there in part has its own message."""
        self._never_shown += max(0, len(self._waiting) - self._cut)

    @property
    def unfinished(self) -> Fraction | None:
        """The time of the last frame in seconds, if packets after it were read; None if it is the last one."""
        return self._time if self.frames and self._waiting else None

    def no_frame_error(self) -> MediaError:
        """The error that says why there is no frame."""
        why = f"cannot be decoded ({reason(self._failure)})" if self._failure else "no frame could be decoded"
        return MediaError(f"{self._name}: {why}; the file is damaged or empty")

    def damage(self, jumps: Sequence[Fraction]) -> list[str]:
        """What was lost or damaged so far, one line each.

        Args:
            jumps: Where the clock jumps. A joint breaks the count of MPEG-TS packets, so that the picture before it
                counts as damaged.
        """
        lines = []
        if self._lost > _MAX_LOST:
            lines.append(f"{self._name}: its first {float(self._lost):.3f} s cannot be decoded")
        lost = max(self._packets_damaged, self._never_shown)
        packets = max(0, lost - len(jumps))
        if packets or self._frames_damaged:
            lines.append(
                f"{self._name}: is damaged (packets: {packets}, broken pictures: {self._frames_damaged})"
            )
        return lines

    def loss_at_end(self, jumps: Sequence[Fraction], rate: Fraction, length: int | None) -> str | None:
        """What says that the file does not end where it should: it is cut off, or nothing could be decoded any more.

        Args:
            jumps: Where the clock jumps. The stated length then holds for one of the recordings.
            rate: Frames per second.
            length: The file's, in bytes, if it is known.

        Returns:
            One line; None if the file is whole.
        """
        where = f"after frame {self.frames} at {float(self._time):.3f} s"
        if self._failure is not None:
            return f"{self._name}: decoding stopped {where} ({reason(self._failure)})"
        if self._cut or self._is_torn(length):
            return f"{self._name}: is cut off {where}"
        end = _stated_end(self._stream)
        if end is None or jumps or self.frames == self._stream.frames:
            return None
        frames = 2 / rate
        if end - self._reached <= (frames if self._short else 1 + frames):
            return None
        return (
            f"{self._name}: ends at {float(self._reached):.3f} s and not at {float(end):.3f} s, as it says; "
            "it is cut off"
        )

    def _is_torn(self, length: int | None) -> bool:
        """Whether a yuv4mpeg or GIF ends within a frame, which FFmpeg takes for the end."""
        if self._stream.container.format.name == "gif":
            return self._short
        if length is None or self._bytes is None or self._stream.container.format.name != "yuv4mpegpipe":
            return False
        return self._bytes < length


def _stated_end(stream: VideoStream) -> Fraction | None:
    """The time at which the stream ends by what its container states, in seconds.

    Matroska states it in a tag. Without the tag FFmpeg gives the length of the file, which the sound may fill. Where
    the clock may jump none is stated: FFmpeg takes the last times that it finds, damaged ones too.
    """
    if may_jump(stream.container):
        return None
    hours, minutes, seconds = [*stream.metadata.get("DURATION", "").split(":"), "", ""][:3]
    try:
        return (int(hours) * 60 + int(minutes)) * 60 + Fraction(seconds)
    except ValueError:
        pass
    if not stream.duration or not stream.time_base:
        return None
    return start_of(stream) + stream.duration * Fraction(stream.time_base)
