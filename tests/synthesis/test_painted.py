"""Painted masks of every type of numbers."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from clips import make_clip

from maskvfi.errors import MediaError
from maskvfi.synthesis.painted import read_painted_mask
from maskvfi.video import open_source


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    with open_source(make_clip(tmp_path_factory.mktemp("painted") / "in.mp4", times=1)) as reader:
        return reader.info


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_is_1_in_every_type(tmp_path, info, dtype, channels):
    paint = np.zeros((48, 64, channels))
    paint[:16, :24] = 1
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    cv2.imwrite(str(tmp_path / "p.tif"), (paint * white).astype(dtype).squeeze())
    assert np.array_equal(read_painted_mask(tmp_path / "p.tif", info), paint[..., 0])


@pytest.mark.parametrize("value", [255, -0.5, np.nan])
def test_floats_outside_of_0_to_1_are_refused(tmp_path, info, value):
    cv2.imwrite(str(tmp_path / "p.tif"), np.full((48, 64), value, np.float32))
    with pytest.raises(MediaError, match=r"p\.tif: the numbers of a mask must lie in 0\.\.1"):
        read_painted_mask(tmp_path / "p.tif", info)


def test_a_header_that_promises_too_many_pixels_is_one_line(tmp_path, info):
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((4, 4), np.uint8))
    data = bytearray((tmp_path / "mask.png").read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "mask.png").write_bytes(data)
    with pytest.raises(MediaError, match=r"mask.png: is not a picture that can be read"):
        read_painted_mask(tmp_path / "mask.png", info)


def test_a_mask_of_one_row_may_be_turned(tmp_path):
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x112] = 6
    stored = np.zeros((4, 1, 3), np.uint8)
    stored[0] = 255
    image.fromarray(stored).save(tmp_path / "p.png", exif=exif)
    with open_source(
        make_clip(tmp_path / "in.mkv", times=1, size=(4, 1), codec="ffv1", pix_fmt="yuv444p")
    ) as reader:
        found = read_painted_mask(tmp_path / "p.png", reader.info)
    assert found.tolist() == [[0, 0, 0, 1]]
