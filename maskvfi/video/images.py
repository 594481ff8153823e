"""A folder of numbered images as a video, and a video as a folder of numbered images."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from maskvfi.errors import MediaError, reason
from maskvfi.paths import PathLike, not_in_place, partial_path, real_path, written_whole
from maskvfi.video.encoders import Encoding, choose_encoding
from maskvfi.video.frames import Frame, SourceInfo, shortest_rest
from maskvfi.video.icc import is_of_grey, is_srgb, keeps_profile, put_profile
from maskvfi.video.orientation import orientation_of, upright_frame, upright_info
from maskvfi.video.pictures import (
    CODECS,
    NUMBER,
    UnreadablePicture,
    describe_pictures,
    find_pictures,
    is_pattern,
    named_first,
    read_frame,
)
from maskvfi.video.pump import ReadAhead, Worker

# The suffixes of single pictures that can be written.
WRITTEN = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr")
_INSIDE = "images"  # in the name of the hidden folder inside a folder that exists already


class ImageFolderReader(ReadAhead[Frame]):
    """Read the images of a folder as a video of constant rate.

    They come in the natural order of their names (2 before 10), upright, and keep their depth. Images of different
    pixel formats are all read in one format that holds each of them without loss.

    Args:
        path: The folder, or a pattern such as `shots/%04d.png`.
        rate: Frames per second; 24 by default.
        start: Give only frames from here on, in seconds.
        end: Give only frames before this time, in seconds.
        queue: How many decoded frames may wait.
        strict: Raise an error where an image cannot be read; otherwise the one before is shown in its place.

    Raises:
        MediaError: There are no images, the first cannot be read, or they differ in size. An image other than the first
            is decoded while iterating.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        rate: Fraction | None = None,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 4,
        strict: bool = True,
    ) -> None:
        super().__init__(queue)
        self._rate = Fraction(24) if rate is None else rate
        self._strict = strict
        self._name, self._all = os.fspath(path), find_pictures(path)
        files = self._all
        info, self.warnings = describe_pictures(files, os.fspath(path), self._rate)
        length = len(files) / self._rate
        self._begin, self._end = start or Fraction(0), length if end is None else min(end, length)
        held = shortest_rest(self._rate)
        self._files = [
            (n, file)
            for n, file in enumerate(files)
            if n / self._rate < self._end
            and (n / self._rate >= self._begin or (n + 1) / self._rate - self._begin > held)
        ]
        duration = max(Fraction(0), self._end - self._begin)
        self.info = replace(info, frames_estimate=len(self._files), duration=duration)

    def _frames(self) -> Generator[Frame, None, None]:
        unread: list[str] = []
        before: Frame | None = None
        try:
            for number, file in self._files:
                try:
                    before = read_frame(file, self.info, number)
                except UnreadablePicture:
                    if self._strict:
                        raise
                    unread.append(file.name)
                    before = replace(before or self._last_before(number), pts=number / self._rate)
                begin, end = max(before.pts, self._begin), min(before.pts + 1 / self._rate, self._end)
                yield replace(before, pts=begin, duration=end - begin)
        finally:  # a reader may stop early
            if unread:
                line = f"cannot be read as images: {named_first(unread)}; the image before is shown in their place"
                self.warnings.append(f"{self._name}: {line}")

    def _last_before(self, number: int) -> Frame:
        """The last image before a window that can be read; the first of all can."""
        while True:
            number -= 1
            try:
                return read_frame(self._all[number], self.info, number)
            except UnreadablePicture:
                if number <= 0:
                    raise


class ImageFolderWriter:
    """Write frames as numbered images into a folder.

    8-bit sources become 8-bit images, deeper ones 16-bit, float ones EXR. Times are not kept. Images are written into a
    hidden folder. At the end it is renamed to the target; if the target exists, the images are moved into it.

    Args:
        path: The folder, for `00000001.png`, `00000002.png`, ...; or a pattern such as `out/%06d.tiff`.
        info: What is known of the source of the frames.
        overwrite: Replace a folder that is not empty, if it holds nothing but such numbered images.
        options: The image encoder's options, by FFmpeg's names; one that it does not have is left out.
        pix_fmt: FFmpeg's name of the pixel format to write; the source's, or the nearest, by default.
        queue: How many frames may wait for the encoder.

    Attributes:
        warnings: What could not be kept, one line each.
        encoding: The image encoder, and how a frame becomes what it takes.

    Raises:
        MediaError: The folder or an image cannot be written, or an option has a wrong value.
    """

    def __init__(
        self,
        path: PathLike,
        info: SourceInfo,
        *,
        overwrite: bool = False,
        options: dict[str, str] | None = None,
        pix_fmt: str | None = None,
        queue: int = 4,
    ) -> None:
        self._name, self._overwrite = os.fspath(path), overwrite
        suffix = ".exr" if info.format.depth == 32 else ".png"
        self._folder, self._pattern = Path(path), f"%08d{suffix}"
        if is_pattern(path):
            self._folder, self._pattern = self._folder.parent, self._folder.name
        self._folder = real_path(self._folder)
        suffix = Path(self._pattern).suffix.lower()
        if suffix not in WRITTEN:
            raise MediaError(
                f"{self._name}: images are written as {', '.join(WRITTEN)}, not {suffix or 'that'}"
            )
        self._info = info
        self.encoding = choose_encoding(CODECS[suffix], upright_info(info), options or {}, pix_fmt)
        self.warnings = _lost(self.encoding, info)
        if info.display_matrix is not None and orientation_of(info) is None:
            self.warnings.append("images keep no rotation by this angle: they are written as they are stored")
        self.warnings += _check_options(self._name, self.encoding)
        folder = self._folder.absolute()
        # A folder that exists stays: it may be a mount point, or the one that somebody works in.
        self._partial = partial_path(folder / _INSIDE if folder.is_dir() else folder)
        with _named(self._name):
            self._check_target()
            self._partial.mkdir()
        self._count = 0
        self._done = False
        self._worker = Worker(self._encode, queue, "maskvfi-encode")

    @property
    def kept(self) -> int:
        """0: a folder of images is not resumed."""
        return 0

    @property
    def state(self) -> dict[str, Any]:
        """Empty: a folder of images is not resumed."""
        return {}

    def mark(self, state: dict[str, Any]) -> None:
        """Nothing: a folder of images is not resumed."""

    def write(self, frame: Frame) -> None:
        """Queue the next frame.

        Raises:
            MediaError: An earlier frame could not be written.
        """
        self._worker.put(upright_frame(frame, self._info))

    def finish(self) -> None:
        """Write what waits, and move the finished images to the target.

        Raises:
            MediaError: An image could not be written, or there were no frames. Or the folder cannot have its name:
                then it stays under the hidden name that the message says.
        """
        if self._done:
            return
        try:
            self._worker.finish()
            if not self._count:
                raise MediaError(f"{self._name}: there are no frames to write")
        except BaseException:
            self.abort()
            raise
        self._done = True
        try:
            self._check_target()  # again: something may have come there meanwhile
            self._move_into_place()
        except OSError as error:
            raise MediaError(not_in_place(self._name, self._partial, error)) from error
        except MediaError as error:
            raise MediaError(f"{error}; the whole result is kept as {self._partial}") from error

    def abort(self) -> None:
        """Stop, and leave nothing behind."""
        if not self._done:
            self._done = True
            self._worker.cancel()
            shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> ImageFolderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()

    def _encode(self, frame: Frame) -> None:
        self._count += 1
        with _named(self._name):
            (self._partial / _numbered(self._pattern, self._count)).write_bytes(
                _encode(frame, self.encoding, _profile(self.encoding, self._info))
            )

    def _check_target(self) -> None:
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise MediaError(f"{self._name}: exists already and is no folder")
        if not folder.exists() and not folder.absolute().parent.is_dir():
            raise MediaError(f"{self._name}: there is no folder {folder.absolute().parent}")
        held = _held(folder) if folder.exists() else []
        if held and not self._overwrite:
            raise MediaError(f"{folder}: the folder is not empty, and overwrite is not set")
        before, _, after = NUMBER.split(self._pattern, maxsplit=1)
        own = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
        if foreign := next((name for name in held if not own.fullmatch(name)), None):
            raise MediaError(
                f"{self._name}: will not be replaced, it holds more than such images ({foreign})"
            )

    def _move_into_place(self) -> None:
        folder = self._folder.absolute()
        if self._partial.parent != folder:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()  # made meanwhile; it is empty, or this fails
            self._partial.rename(folder)
            return
        before = set(_held(folder))
        for picture in sorted(self._partial.iterdir()):
            os.replace(picture, folder / picture.name)
            before.discard(picture.name)
        for name in before:  # of a longer sequence that is overwritten
            (folder / name).unlink()
        self._partial.rmdir()


def _held(folder: Path) -> list[str]:
    """The names in a folder, except those of hidden folders with unfinished images, and of file managers' files."""
    ours = re.compile(rf"\.{_INSIDE}\.[0-9a-f]+\.partial|\.DS_Store|Thumbs\.db|desktop\.ini")
    return [item.name for item in folder.iterdir() if not ours.fullmatch(item.name)]


def read_pictures(
    paths: Sequence[PathLike], warnings: list[str] | None = None
) -> tuple[SourceInfo, list[Frame]]:
    """Read single pictures as the frames of a video, one a second.

    Args:
        paths: Image files of one size.
        warnings: Gets a line for every way in which they differ.

    Returns:
        What is known of the pictures, and one frame for each.

    Raises:
        MediaError: One cannot be read, or they differ in size.
    """
    files = [Path(path) for path in paths]
    info, differences = describe_pictures(files, os.fspath(paths[0]), Fraction(1))
    if warnings is not None:
        warnings += differences
    return info, [read_frame(file, info, number) for number, file in enumerate(files)]


def write_picture(path: PathLike, frame: Frame, info: SourceInfo, overwrite: bool = False) -> tuple[str, ...]:
    """Write a frame as a picture, in its own depth where the format has it.

    Args:
        path: A PNG, TIFF, EXR or JPEG file.
        frame: The frame.
        info: What is known of its source.
        overwrite: Replace a file that exists.

    Returns:
        What the picture cannot keep, one line each.

    Raises:
        MediaError: The picture cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in WRITTEN:
        raise MediaError(f"{target}: pictures are written as {', '.join(WRITTEN)}")
    encoding = choose_encoding(CODECS[target.suffix.lower()], upright_info(info), {})
    with _named(os.fspath(target)):
        data = _encode(upright_frame(frame, info), encoding, _profile(encoding, info))
    with written_whole(target, overwrite=overwrite) as partial:
        partial.write_bytes(data)
    return tuple(_lost(encoding, info))


def is_image_source(path: PathLike) -> bool:
    """Whether an input is a folder of images, or a pattern that is not the name of a file."""
    return Path(path).is_dir() or is_pattern(path)


def is_image_target(path: PathLike) -> bool:
    """Whether an output is a folder of images: its name ends with /, has no suffix, or is a pattern of images."""
    name = os.fspath(path)
    return name.endswith(("/", os.sep)) or not Path(name).suffix or is_pattern(path)


def _numbered(pattern: str, number: int) -> str:
    """The name of an image; only the number is filled in, other signs stay as they are."""
    return NUMBER.sub(lambda found: f"{number:0{int(found[1] or 0)}d}", pattern)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Raise errors of the system and the encoder as a MediaError that names the target, not the hidden folder."""
    try:
        yield
    except MediaError:
        raise
    except (OSError, av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{name}: cannot be written ({reason(error)})") from error


def _lost(encoding: Encoding, info: SourceInfo) -> list[str]:
    """What images of an encoder cannot keep of their source, one line each."""
    lost = list(encoding.warnings)
    if (ratio := upright_info(info).sample_aspect_ratio) != 1:
        lost.append(f"the pixel aspect ratio {ratio} cannot be written: left out")
    if info.profile and not keeps_profile(encoding.codec) and not is_srgb(info.profile):
        lost.append(f"{encoding.codec} keeps no ICC profile here: left out")
    elif info.profile and not _profile(encoding, info):
        lost.append("the ICC profile is of grey pictures: left out")
    return lost


def _profile(encoding: Encoding, info: SourceInfo) -> bytes:
    """The ICC profile that images get; none where the source's is of grey and they are not."""
    return b"" if is_of_grey(info.profile) and encoding.planar.family != "grey" else info.profile


def _check_options(name: str, encoding: Encoding) -> list[str]:
    """A line if an image encoder does not have some of its options; MediaError if it does not take a value."""
    context = _encoder(encoding)
    try:
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{name}: {encoding.codec} cannot be written ({reason(error)})") from error
    unknown = [option for option in context.options if option in encoding.options]
    return [f"{encoding.codec} has no option {', '.join(unknown)}: left out"] if unknown else []


def _encoder(encoding: Encoding) -> VideoCodecContext:
    context = av.CodecContext.create(encoding.codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = encoding.width, encoding.height, encoding.pix_fmt
    context.time_base = Fraction(1, 25)
    context.color_range, context.thread_count = encoding.colour.range_tag, 1
    context.options = dict(encoding.options)
    return context


def _encode(frame: Frame, encoding: Encoding, profile: bytes) -> bytes:
    context, picture = _encoder(encoding), encoding.picture(frame)
    picture.time_base, picture.pts = context.time_base, 0
    data = b"".join(bytes(packet) for packet in (*context.encode(picture), *context.encode(None)))
    return put_profile(data, encoding.codec, profile)
