"""Frames of every pixel format, taken apart into planes and packed again."""

import av
import numpy as np
import pytest
from clips import picture

from maskvfi.video.pixel_format import PixelFormat
from maskvfi.video.pixels import frame_of, packing_of, planar_name, planes_of


@pytest.mark.parametrize(
    "name",
    [
        *("nv12", "nv21", "nv16", "p010le", "p016le", "p210le", "yuyv422", "uyvy422", "y210le", "ayuv64le"),
        *("rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "0rgb", "bgr0", "rgb48le", "rgb48be", "rgba64be"),
        *("yuvj420p", "yuv420p10be", "yuva444p12le", "gray16be", "gbrp12le", "gbrapf32le", "yuv410p"),
    ],
)
def test_every_pixel_format_is_taken_apart_and_packed_without_loss(name):
    fmt = PixelFormat.parse(planar_name(name))
    rng = np.random.default_rng(0)
    top = 2 ** min(fmt.depth, 16)
    planes = [rng.integers(0, top, shape).astype(fmt.dtype) for shape in fmt.plane_shapes(37, 19)]
    frame = frame_of(planes, 37, 19, name)
    for sent, back in zip(planes, planes_of(frame), strict=True):
        assert np.array_equal(sent, back)
    assert not any(plane.flags.writeable for plane in planes_of(frame))


@pytest.mark.parametrize(
    "name",
    [
        *("nv12", "nv21", "yuyv422", "p010le", "rgb24", "argb", "rgb48be", "bgr0"),
        *("vuya", "uyva", "ayuv", "vyu444", "y216le", "xv48le"),
    ],
)
def test_packed_formats_mean_what_swscale_says(name):
    planar = planar_name(name)
    frame = frame_of(planes_of(picture(1, 32, 16, planar)), 32, 16, name)
    theirs = planes_of(frame.reformat(format=planar))
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(frame), theirs, strict=True))


def test_a_palette_becomes_the_colours_it_stands_for():
    frame = av.VideoFrame(4, 2, "pal8")
    rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(2, -1)
    rows[:, :4] = [[0, 1, 2, 1], [2, 2, 0, 0]]
    np.frombuffer(memoryview(frame.planes[1]), np.uint32)[:3] = (0xFF112233, 0x80445566, 0x00778899)
    green, blue, red, alpha = planes_of(frame)
    assert [p[0, :3].tolist() for p in (red, green, blue, alpha)] == [
        [0x11, 0x44, 0x77],
        [0x22, 0x55, 0x88],
        [0x33, 0x66, 0x99],
        [0xFF, 0x80, 0x00],
    ]


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize(("bits", "steps"), [("565", (8, 4, 8)), ("555", (8, 8, 8)), ("444", (16, 16, 16))])
@pytest.mark.parametrize("endian", ["le", "be"])
def test_a_pixel_in_16_bits_becomes_colours_from_black_to_white(order, bits, steps, endian):
    native = picture(1, 32, 16, "rgb24").reformat(format=f"{order}{bits}{endian}")
    assert planar_name(native.format.name) == "gbrp"
    theirs = planes_of(native.reformat(format="gbrp"))  # swscale leaves the lower bits 0
    for ours, cut, step in zip(planes_of(native), theirs, (steps[1], steps[0], steps[2]), strict=True):
        assert np.array_equal(ours // step, cut // step)
    white = av.VideoFrame.from_ndarray(np.full((2, 2, 3), 255, np.uint8)).reformat(format=native.format.name)
    assert all(plane.min() == 255 for plane in planes_of(white))


def test_a_format_without_planes_is_not_known():
    assert packing_of("bayer_rggb8") is None
    with pytest.raises(ValueError, match="bayer_rggb8 is not supported"):
        planes_of(av.VideoFrame(16, 16, "bayer_rggb8"))
