"""Frames to packets, in segments that do not depend on one another."""

from __future__ import annotations

from contextlib import nullcontext
from typing import cast

import av
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from maskvfi.errors import MediaError
from maskvfi.video.dolby_vision import has_dolby_vision, with_dolby_vision
from maskvfi.video.encoders import Encoding
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.hdr import DOLBY_VISION, HDR10_PLUS
from maskvfi.video.hdr10plus import message_of, with_message
from maskvfi.video.priority import kept_priority
from maskvfi.video.timestamps import Clock

_BIT_RATE_TOLERANCE = 128_000  # bits per second: PyAV sets it for a stream's context, but does not tell


def configure(context: VideoCodecContext, info: SourceInfo, encoding: Encoding, clock: Clock) -> None:
    """Set size, pixel format, time base and colour tags of an encoder context.

    Args:
        context: The context; it must not be open yet.
        info: The shape of a pixel.
        encoding: The size in pixels, the pixel format and the colour tags.
        clock: Its tick is the time base.
    """
    context.width, context.height = encoding.width, encoding.height
    context.pix_fmt = encoding.pix_fmt
    context.time_base, context.sample_aspect_ratio = clock.tick, info.sample_aspect_ratio
    colour = encoding.colour
    context.colorspace, context.color_range = colour.matrix_tag, colour.range_tag
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer


class SegmentEncoder:
    """Encode the frames of one file, each segment with an encoder context of its own.

    A segment needs no frame of another one. So it can be kept on the disk, or be made on another machine. The packets
    have the durations of their frames, and decoding times that increase from one segment to the next.

    Args:
        context: The open context of the container's stream. It encodes the first segment; the contexts of the other
            segments are set up like it.
        info: What is known of the source.
        encoding: How a frame becomes what the encoder takes.
        clock: Gives every frame its ticks.

    Attributes:
        frames: How many frames the current segment has.
    """

    def __init__(
        self, context: VideoCodecContext, info: SourceInfo, encoding: Encoding, clock: Clock
    ) -> None:
        self.frames = 0
        self._stream_context = self._context = context
        self._info, self._encoding, self._clock = info, encoding, clock
        # By the ticks of frames whose packets are still to come: their lengths in ticks, and their HDR10+ messages.
        self._durations: dict[int, int] = {}
        self._messages: dict[int, bytes] = {}
        # For frames that have lost their Dolby Vision metadata: the segment's last one with some, or the film's first.
        self._with_dolby_vision = info.hdr.frame
        self._last_dts: int | None = None

    def encode(self, frame: Frame) -> list[Packet]:
        """The packets that are ready after this frame.

        Raises:
            MediaError: The frame has another size or format than the video.
        """
        begin, length = self._clock.place(frame.pts, frame.duration)
        self._durations[begin] = length
        shape = self._info.height, self._info.width
        if frame.planes[0].shape != shape:
            raise MediaError(f"a frame of {frame.planes[0].shape} does not fit a video of {shape}")
        picture = self._encoding.picture(frame)
        if HDR10_PLUS in self._encoding.dynamic_hdr and frame.origin is not None:
            self._messages[begin] = message_of(frame.origin)
        if DOLBY_VISION in self._encoding.dynamic_hdr:
            if frame.origin is not None and has_dolby_vision(frame.origin):
                self._with_dolby_vision = frame.origin
            picture = with_dolby_vision(picture, self._with_dolby_vision)
        picture.time_base, picture.pts, picture.duration = self._clock.tick, begin, length
        packets = self._encoded(picture)
        self.frames += 1
        return packets

    def end_segment(self) -> list[Packet]:
        """The remaining packets of the current segment; the next frame begins a new one."""
        packets = self._encoded(None)
        self.begin_segment()
        return packets

    def end_file(self) -> list[Packet]:
        """The remaining packets of the file; the last one lasts until the end of the last frame.

        MP4 takes the length of a track from its last packet. With B-frames that is not always the packet of the last
        frame: an earlier frame can be decoded after it.
        """
        packets = self._context.encode(None)
        if packets and packets[-1].pts is not None and self._clock.at.end is not None:
            self._durations[packets[-1].pts] = self._clock.at.end - packets[-1].pts
        return self._finished(packets)

    def begin_segment(self) -> None:
        """Go on with a new context, which knows nothing of the frames before."""
        context, model = (
            cast(VideoCodecContext, CodecContext.create(self._encoding.codec, "w")),
            self._stream_context,
        )
        configure(context, self._info, self._encoding, self._clock)
        context.framerate, context.options = model.framerate, dict(self._encoding.options)
        context.flags = model.flags
        context.bit_rate, context.bit_rate_tolerance = model.bit_rate or 0, _BIT_RATE_TOLERANCE
        self._context, self.frames = context, 0
        self._with_dolby_vision = self._info.hdr.frame  # as if the run began here

    def keep_order(self, packet: Packet) -> None:
        """Move the packet's decoding time behind that of the packet before, where it is not later.

        A new context may begin with decoding times before the last ones of the context before it.
        """
        if packet.dts is None:
            return
        if self._last_dts is not None and packet.dts <= self._last_dts:
            packet.dts = self._last_dts + 1
        self._last_dts = packet.dts

    def _encoded(self, picture: av.VideoFrame | None) -> list[Packet]:
        with nullcontext() if self._context.is_open else kept_priority():
            packets = self._finished(self._context.encode(picture))
        if picture is None:
            return packets
        begun = self._context is not self._stream_context
        return [self._encoding.finished(packet, picture, begun) for packet in packets]

    def _finished(self, packets: list[Packet]) -> list[Packet]:
        finished = []
        for packet in packets:
            if packet.pts in self._durations:
                packet.duration = self._durations.pop(packet.pts)
            if packet.pts is not None and (message := self._messages.pop(packet.pts, b"")):
                packet = with_message(packet, self._encoding.codec, message)
            self.keep_order(packet)
            finished.append(packet)
        return finished
