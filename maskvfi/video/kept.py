"""What a written file has kept of its source, by reading it again: containers drop tags without a word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from av.stream import Discard, Disposition, Stream

from maskvfi.errors import MediaError
from maskvfi.paths import PathLike
from maskvfi.video.frames import SourceInfo
from maskvfi.video.pixel_format import Colour, is_unspecified
from maskvfi.video.reader import VideoReader
from maskvfi.video.streams import is_cover, open_input

_OF_A_STREAM = {"language": "language", "title": "title", "timecode": "time code"}
# What a stream is for, as players show it.
_PURPOSES = {
    Disposition.forced: "forced",
    Disposition.comment: "commentary",
    Disposition.hearing_impaired: "for the hearing impaired",
    Disposition.visual_impaired: "for the visually impaired",
    Disposition.attached_pic: "cover art",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was given to a container beside the pictures.

    Attributes:
        tags: The tags of the file.
        streams: The type, the tags and the disposition of every stream, in their order.
        chapters: How many there are.
    """

    tags: Mapping[str, str]
    streams: Sequence[tuple[str, Mapping[str, str], Disposition]]
    chapters: int


def lost_in(path: PathLike, muxer: str, wanted: Wanted, info: SourceInfo, colour: Colour) -> Iterator[str]:
    """Find out what a file does not keep.

    Args:
        path: The whole file.
        muxer: FFmpeg's name of its container, for the messages.
        wanted: What it was given.
        info: What is known of the source.
        colour: What code values of the file mean.

    Yields:
        A line for everything that is lost. Nothing where the file cannot be read, as some raw streams.
    """
    with contextlib.suppress(MediaError), contextlib.closing(open_input(path)[0]) as made:
        if len(made.chapters()) < wanted.chapters:
            yield f"{muxer} keeps no chapters: left out"
        names = {name.lower() for name in made.metadata}
        names |= {name for stream in made.streams for name in stream.metadata if name == "timecode"}
        values = set(made.metadata.values())
        lost = [
            name for name, value in wanted.tags.items() if name.lower() not in names and value not in values
        ]
        if lost:
            yield f"{muxer} does not keep the tags {', '.join(sorted(lost))}: left out"
        yield from _lost_of_streams(muxer, wanted.streams, list(made.streams))
    with contextlib.suppress(MediaError), VideoReader(path) as reader:
        yield from _lost_of_picture(muxer, info, colour, reader.info)


def others_in(path: PathLike) -> list[str]:
    """What a file has beside its pictures, in words; empty where it cannot be read."""
    with contextlib.suppress(MediaError), contextlib.closing(open_input(path)[0]) as source:
        kinds = {stream.type for stream in source.streams}
        present = {
            "sound": "audio" in kinds,
            "subtitles": "subtitle" in kinds,
            "chapters": bool(source.chapters()),
            "time code": any("timecode" in each.metadata for each in (source, *source.streams)),
            "data": any(
                # FFmpeg discards a track of titles, once it has made chapters of them.
                s.type == "data" and "timecode" not in s.metadata and s.discard != Discard.all
                for s in source.streams
            ),
            "attached files": "attachment" in kinds or any(is_cover(s) for s in source.streams),
        }
        return [word for word, there in present.items() if there]
    return []


def _lost_of_streams(
    muxer: str, wanted: Sequence[tuple[str, Mapping[str, str], Disposition]], streams: Sequence[Stream]
) -> Iterator[str]:
    for number, (kind, tags, disposition) in enumerate(wanted):
        if number >= len(streams):
            what = "cover art" if disposition & Disposition.attached_pic else f"stream {number} ({kind})"
            yield f"{muxer} does not keep {what}: left out"
            continue
        stream = streams[number]
        if kind in ("audio", "subtitle") and stream.type != kind:
            yield f"{muxer} keeps stream {stream.index} ({kind}) only as {stream.type}: players will not find it"
            continue
        given = {name.lower(): value for name, value in tags.items()}
        kept = {name.lower(): value for name, value in stream.metadata.items()}
        lost = [word for bit, word in _PURPOSES.items() if disposition & bit and not stream.disposition & bit]
        if lost:
            what = f"stream {stream.index} ({stream.type}) is {' and '.join(lost)}"
            yield f"{muxer} does not keep that {what}"
        for name, word in _OF_A_STREAM.items():
            if given.get(name) not in (None, "", "und", *kept.values()) and name not in kept:
                yield f"{muxer} does not keep the {word} of stream {stream.index} ({stream.type}): left out"


def _lost_of_picture(muxer: str, info: SourceInfo, colour: Colour, made: SourceInfo) -> Iterator[str]:
    if info.display_matrix is not None and made.display_matrix is None:
        yield f"{muxer} does not keep the rotation: the picture is shown as it is stored"
    for word, given, kept in (
        ("primaries", colour.primaries, made.colour.primaries),
        ("transfer function", colour.transfer, made.colour.transfer),
    ):
        if not is_unspecified(given) and kept != given:
            yield f"{muxer} does not keep the {word} of the colours: left out"
    if colour.full_range != made.colour.full_range:
        yield f"{muxer} does not keep the range of the colours: they will be shown wrong"
    if made.format.family == "yuv" and colour.matrix != made.colour.matrix:
        yield f"{muxer} does not keep the matrix of the colours: they will be shown wrong"
    for word in info.described:
        if word not in made.described:
            yield f"{muxer} does not keep the {word}: left out"
