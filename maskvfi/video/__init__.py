"""Videos, image folders and pipes: frames of planes in, frames of planes out."""

from maskvfi.errors import MediaError
from maskvfi.video.frames import Frame, Sink, Source, SourceInfo
from maskvfi.video.images import ImageFolderReader, ImageFolderWriter
from maskvfi.video.muxer import VideoWriter
from maskvfi.video.open import open_sink, open_source
from maskvfi.video.pixel_format import Colour, PixelFormat
from maskvfi.video.reader import VideoReader

__all__ = [
    "Colour",
    "Frame",
    "ImageFolderReader",
    "ImageFolderWriter",
    "MediaError",
    "PixelFormat",
    "Sink",
    "Source",
    "SourceInfo",
    "VideoReader",
    "VideoWriter",
    "open_sink",
    "open_source",
]
