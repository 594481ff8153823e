"""A folder of numbered images as a video, and a video as a folder of numbered images."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from maskvfi.errors import MediaError, reason
from maskvfi.paths import PathLike, partial_path, real_path, written_whole
from maskvfi.video.encoders import Encoding, choose_encoding
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.pixels import planar_name, planes_of
from maskvfi.video.planes import Colour, PixelFormat
from maskvfi.video.pump import Prefetch, Worker
from maskvfi.video.side_data import display_matrix

_CODECS = {".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".tif": "tiff", ".tiff": "tiff", ".exr": "exr"}
_WRITTEN = tuple(_CODECS)
_PATTERN = re.compile(r"%(0?\d*)d(?!.*%0?\d*d)")  # the last one in a name


class ImageFolderReader:
    """Read the PNG, JPEG, TIFF and EXR images of a folder as a video of constant rate.

    They come in the natural order of their names (2 before 10) and keep their depth.

    Args:
        path: The folder.
        rate: Frames per second; 24 by default.
        start: Give only frames from here on, in seconds.
        end: Give only frames before this time, in seconds.
        queue: How many decoded frames may wait.

    Raises:
        MediaError: There are no images, one cannot be read, or they differ in size or format. An image other than the
            first is read while iterating.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        rate: Fraction | None = None,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 4,
    ) -> None:
        self.warnings: list[str] = []
        self._name = os.fspath(path)
        self._rate = Fraction(rate or 24)
        self._queue = queue
        self._prefetch: Prefetch[Frame] | None = None
        files = _images_of(Path(path))
        first = _decode(files[0])
        times = range(len(files))
        begin, stop = start or Fraction(0), end if end is not None else Fraction(len(files)) / self._rate
        self._files = [(n, files[n]) for n in times if begin <= n / self._rate < stop]
        self.info = _describe(first, files[0], self._name, self._rate, len(self._files))

    def __iter__(self) -> Iterator[Frame]:
        if self._prefetch is None:
            self._prefetch = Prefetch(self._frames(), self._queue, "maskvfi-decode")
        return iter(self._prefetch)

    def close(self) -> None:
        """Stop decoding."""
        if self._prefetch is not None:
            self._prefetch.close()

    def __enter__(self) -> ImageFolderReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _frames(self) -> Generator[Frame, None, None]:
        for number, file in self._files:
            yield _frame(_decode(file), file, self.info, number)


class ImageFolderWriter:
    """Write frames as numbered images into a folder.

    8-bit sources become 8-bit images, deeper ones 16-bit, float ones EXR. Images are written into a hidden folder
    beside the target, which takes the target's name when it is whole. Times are not kept.

    Args:
        path: The folder, for `00000001.png`, `00000002.png`, ...; or a pattern such as `out/%06d.tiff`.
        info: What is known of the source of the frames.
        overwrite: Replace a folder that is not empty, if it holds nothing but such numbered images.
        options: The image encoder's options.
        pix_fmt: FFmpeg's name of the pixel format to write; the source's, or the nearest, by default.
        queue: How many frames may wait for the encoder.

    Attributes:
        warnings: What could not be kept, one line each.

    Raises:
        MediaError: The folder or an image cannot be written.
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
        self._name = os.fspath(path)
        suffix = ".exr" if info.format.depth == 32 else ".png"
        self._folder, self._pattern = Path(path), f"%08d{suffix}"
        if _is_pattern(path):
            self._folder, self._pattern = self._folder.parent, self._folder.name
        self._folder = real_path(self._folder)
        suffix = Path(self._pattern).suffix.lower()
        if suffix not in _WRITTEN:
            raise MediaError(
                f"{self._name}: images are written as {', '.join(_WRITTEN)}, not {suffix or 'that'}"
            )
        self._encoding = choose_encoding(_CODECS[suffix], info, options or {}, pix_fmt)
        self.warnings = list(self._encoding.warnings)
        if info.display_matrix is not None:
            self.warnings.append("images keep no rotation: they are written as they are stored")
        self._check_target(overwrite)
        self._partial = partial_path(self._folder)
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
        self._worker.put(frame)

    def finish(self) -> None:
        """Write what waits, and give the folder its name.

        Raises:
            MediaError: An image could not be written, or there were no frames.
        """
        if self._done:
            return
        try:
            self._worker.finish()
            if not self._count:
                raise MediaError(f"{self._name}: there are no frames to write")
            self._replace()
        except BaseException:
            self.abort()
            raise
        self._done = True

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
        try:
            (self._partial / _numbered(self._pattern, self._count)).write_bytes(
                _encode(frame, self._encoding)
            )
        except OSError as error:
            raise MediaError(f"{self._name}: writing failed ({reason(error)})") from error

    def _check_target(self, overwrite: bool) -> None:
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise MediaError(f"{self._name}: exists already and is no folder")
        if not folder.exists() and not folder.absolute().parent.is_dir():
            raise MediaError(f"{self._name}: there is no folder {folder.absolute().parent}")
        held = [item.name for item in folder.iterdir()] if folder.exists() else []
        if held and not overwrite:
            raise MediaError(f"{self._name}: the folder is not empty, and overwrite is not set")
        before, _, after = _PATTERN.split(self._pattern, maxsplit=1)
        own = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
        if foreign := next((name for name in held if not own.fullmatch(name)), None):
            raise MediaError(
                f"{self._name}: will not be replaced, it holds more than such images ({foreign})"
            )

    def _replace(self) -> None:
        old = self._partial.with_suffix(".old")
        if self._folder.exists():
            self._folder.rename(old)
        self._partial.rename(self._folder)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(old)


def read_pictures(paths: Sequence[PathLike]) -> tuple[SourceInfo, list[Frame]]:
    """Read single pictures as the frames of a video, one a second.

    Args:
        paths: PNG, JPEG, TIFF or EXR files of one size and pixel format.

    Returns:
        What is known of the pictures, and one frame for each.

    Raises:
        MediaError: One cannot be read, or they differ in size or format.
    """
    files = [Path(path) for path in paths]
    natives = [_decode(file) for file in files]
    info = _describe(natives[0], files[0], os.fspath(paths[0]), Fraction(1), len(files))
    return info, [_frame(*each, info, n) for n, each in enumerate(zip(natives, files, strict=True))]


def write_picture(path: PathLike, frame: Frame, info: SourceInfo) -> None:
    """Write a frame as a picture, in its own depth where the format has it.

    Args:
        path: A PNG, TIFF, EXR or JPEG file; it is replaced if it exists.
        frame: The frame.
        info: What is known of its source.

    Raises:
        MediaError: The picture cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in _CODECS:
        raise MediaError(f"{target}: pictures are written as {', '.join(_CODECS)}")
    data = _encode(frame, choose_encoding(_CODECS[target.suffix.lower()], info, {}))
    with written_whole(target) as partial:
        partial.write_bytes(data)


def is_image_target(path: PathLike) -> bool:
    """Whether an output is a folder of images: its name ends with /, has no suffix, or is a pattern of images."""
    name = os.fspath(path)
    return name.endswith(("/", os.sep)) or not Path(name).suffix or _is_pattern(path)


def _is_pattern(path: PathLike) -> bool:
    """Whether a name is one for many images, such as %04d.png. In 100%done.mp4 the sign is a letter like others."""
    named = Path(path)
    return named.suffix.lower() in _CODECS and bool(_PATTERN.search(named.name))


def _numbered(pattern: str, number: int) -> str:
    """The name of an image; only the number is filled in, other signs stay as they are."""
    return _PATTERN.sub(lambda found: f"{number:{found[1] or ''}d}", pattern)


def _images_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder")
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in _CODECS and file.name[0] != "."]
    except PermissionError as error:
        raise MediaError(f"{folder}: no permission to read it") from error
    if not files:
        raise MediaError(f"{folder}: there are no PNG, JPEG, TIFF or EXR images in this folder")
    return sorted(files, key=_natural)


def _natural(file: Path) -> list[tuple[int, str]]:
    """The key that sorts names with their numbers as numbers."""
    return [(int(digits or -1), text) for digits, text in re.findall(r"(\d+)|(\D+)", file.name)]


def _describe(first: av.VideoFrame, file: Path, name: str, rate: Fraction, count: int) -> SourceInfo:
    planar = planar_name(first.format.name)
    if planar is None:
        raise MediaError(f"{file}: pixel format {first.format.name} is not supported")
    fmt = PixelFormat.parse(planar)
    colour = Colour.from_tags(
        fmt,
        first.height,
        matrix_tag=first.colorspace,
        range_tag=2 if first.format.name.startswith("yuvj") else first.color_range,
        primaries=first.color_primaries,
        transfer=first.color_trc,
        siting="center" if fmt.family == "yuv" else None,
    )
    return SourceInfo(
        path=name,
        width=first.width,
        height=first.height,
        format=fmt,
        colour=colour,
        rate=rate,
        time_base=1 / rate,
        rotation=first.rotation,
        display_matrix=display_matrix(first, _CODECS[file.suffix.lower()]),
        frames_estimate=count,
        duration=count / rate,
        codec=_CODECS[file.suffix.lower()],
    )


def _frame(native: av.VideoFrame, file: Path, info: SourceInfo, number: int) -> Frame:
    if (native.width, native.height) != (info.width, info.height):
        size = f"{native.width}x{native.height}"
        raise MediaError(f"{file}: is {size}, the images before it are {info.width}x{info.height}")
    found = planar_name(native.format.name)
    if found != info.format.name:
        raise MediaError(f"{file}: is {found or native.format.name}, those before it are {info.format.name}")
    return Frame(planes_of(native), info.format, number / info.rate, 1 / info.rate, native)


def _encode(frame: Frame, encoding: Encoding) -> bytes:
    picture = encoding.picture(frame)
    context = av.CodecContext.create(encoding.codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = picture.width, picture.height, encoding.pix_fmt
    context.time_base = picture.time_base = Fraction(1, 25)
    context.color_range, context.thread_count = encoding.colour.range_tag, 1
    context.options = dict(encoding.options)
    picture.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(picture), *context.encode(None)))


def _decode(file: Path) -> av.VideoFrame:
    if file.suffix.lower() not in _CODECS:
        raise MediaError(f"{file}: is no PNG, JPEG, TIFF or EXR image")
    try:
        context = av.CodecContext.create(_CODECS[file.suffix.lower()], "r")
        assert isinstance(context, VideoCodecContext)
        context.thread_count = 1
        frames = [*context.decode(av.Packet(file.read_bytes())), *context.decode(None)]
        if frames:
            return frames[0]
    except OSError as error:
        raise MediaError(f"{file}: cannot be read ({reason(error)})") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{file}: cannot be read as an image") from error
    raise MediaError(f"{file}: cannot be read as an image")
