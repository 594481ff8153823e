"""Planes to RGB and back: every matrix, range, depth, subsampling and siting."""

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskvfi.video.pixel_format import LUMA_WEIGHTS, SITINGS, Colour, PixelFormat
from maskvfi.video.planes import mask_to_planes, planes_to_rgb, quantise, rgb_to_planes, to_tensors

KINDS = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "gray", "gbrp"]


def format_of(kind: str, depth: int) -> PixelFormat:
    return PixelFormat.parse(kind if depth == 8 else f"{kind}{depth}le")


formats = st.builds(format_of, st.sampled_from(KINDS), st.sampled_from([8, 10, 12, 16]))
colours = st.builds(
    Colour, st.sampled_from(sorted(LUMA_WEIGHTS)), st.booleans(), st.sampled_from(sorted(SITINGS))
)
sizes = st.tuples(st.integers(1, 21), st.integers(1, 21))


def random_planes(fmt: PixelFormat, width: int, height: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = fmt.plane_shapes(width, height)
    return [rng.integers(0, 2**fmt.depth, shape).astype(fmt.dtype) for shape in shapes]


def round_trip(planes: list[np.ndarray], fmt: PixelFormat, colour: Colour) -> tuple[np.ndarray, ...]:
    rgb = planes_to_rgb(to_tensors(planes, "cpu"), fmt, colour)
    return quantise(rgb_to_planes(rgb, fmt, colour), fmt)


@settings(deadline=None, max_examples=300)
@given(formats, colours, sizes, st.integers(0, 1000))
def test_planes_come_back_from_rgb_within_one_code(fmt, colour, size, seed):
    planes = random_planes(fmt, *size, seed)
    for sent, back in zip(planes, round_trip(planes, fmt, colour), strict=True):
        assert np.abs(sent.astype(int) - back.astype(int)).max() <= 1


@settings(deadline=None, max_examples=200)
@given(formats, colours, sizes, st.integers(0, 2**16 - 1))
def test_a_constant_picture_comes_back_exactly(fmt, colour, size, code):
    code %= 2**fmt.depth
    planes = [np.full(shape, code, fmt.dtype) for shape in fmt.plane_shapes(*size)]
    for sent, back in zip(planes, round_trip(planes, fmt, colour), strict=True):
        assert np.array_equal(sent, back)


@settings(deadline=None, max_examples=200)
@given(formats, colours, sizes, st.integers(0, 1000))
def test_a_plane_mask_is_one_only_where_all_its_pixels_are(fmt, colour, size, seed):
    width, height = size
    mask = torch.from_numpy(np.random.default_rng(seed).integers(0, 2, (1, 1, height, width))).float()
    planes = mask_to_planes(mask, fmt, colour)
    assert [tuple(p.shape) for p in planes] == list(fmt.plane_shapes(width, height))
    sx, sy = fmt.log2_chroma if fmt.family == "yuv" else (0, 0)
    for plane in planes:
        assert plane.min() >= 0
        assert plane.max() <= 1
    for y, x in np.argwhere(planes[-1].numpy() == 1):
        assert mask[0, 0, y << sy : (y + 1) << sy, x << sx : (x + 1) << sx].min() == 1
    ones = mask_to_planes(torch.ones(1, 1, height, width), fmt, colour)
    assert all(torch.equal(plane, torch.ones_like(plane)) for plane in ones)


@pytest.mark.parametrize(
    ("matrix", "rgb", "codes"),
    [  # 8-bit limited range: the 75 % and 100 % colour bars of ITU-R BT.1729 and SMPTE RP 219
        ("bt601", (1, 1, 1), (235, 128, 128)),
        ("bt601", (1, 0, 0), (81, 90, 240)),
        ("bt601", (0, 1, 0), (145, 54, 34)),
        ("bt601", (0, 0, 1), (41, 240, 110)),
        ("bt601", (0.75, 0.75, 0), (162, 44, 142)),
        ("bt709", (1, 0, 0), (63, 102, 240)),
        ("bt709", (0, 1, 0), (173, 42, 26)),
        ("bt709", (0, 0, 1), (32, 240, 118)),
        ("bt709", (0.75, 0.75, 0), (168, 44, 136)),
        ("bt2020", (1, 0, 0), (74, 97, 240)),
        ("bt2020", (0, 1, 0), (164, 47, 25)),
        ("bt2020", (0, 0, 1), (29, 240, 119)),
    ],
)
def test_known_colours_have_their_published_codes(matrix, rgb, codes):
    fmt = PixelFormat.parse("yuv444p")
    picture = torch.tensor(rgb, dtype=torch.float32).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    planes = quantise(rgb_to_planes(picture, fmt, Colour(matrix, False)), fmt)
    assert tuple(int(plane[0, 0]) for plane in planes) == codes


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "swscale"), [("bt601", "ITU601"), ("bt709", "ITU709")])
def test_rgb_agrees_with_swscale(matrix, swscale, full):
    fmt = PixelFormat.parse("yuv444p")
    rgb = np.random.default_rng(3).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv444p",
        dst_colorspace=swscale,
        src_color_range="JPEG",
        dst_color_range="JPEG" if full else "MPEG",
    )
    theirs = [
        np.frombuffer(plane, np.uint8).reshape(24, plane.line_size)[:, :32].astype(int)
        for plane in frame.planes
    ]
    picture = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    ours = quantise(rgb_to_planes(picture, fmt, Colour(matrix, full)), fmt)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(mine.astype(int) - other).max() <= 2


def test_chroma_is_read_where_it_sits():
    fmt = PixelFormat.parse("yuv420p")
    ramp = np.tile(np.arange(100, 108, dtype=np.uint8), (4, 1))
    planes = [np.full((8, 16), 126, np.uint8), np.full((4, 8), 128, np.uint8), ramp]
    red = {
        siting: planes_to_rgb(to_tensors(planes, "cpu"), fmt, Colour("bt709", False, siting))[0, 0, 4]
        for siting in ("left", "center")
    }
    step = (red["left"][6] - red["left"][4]).item()
    assert torch.allclose(red["left"][4:10] - red["center"][4:10], torch.full((6,), step / 4), atol=1e-5)


def test_nothing_is_clamped_on_the_way_to_rgb():
    fmt = PixelFormat.parse("yuv444p")
    planes = [np.full((2, 2), code, np.uint8) for code in (16, 255, 0)]
    rgb = planes_to_rgb(to_tensors(planes, "cpu"), fmt, Colour("bt709", False))
    assert rgb.max() > 1
    assert rgb.min() < 0
    back = quantise(rgb_to_planes(rgb, fmt, Colour("bt709", False)), fmt)
    assert [int(p[0, 0]) for p in back] == [16, 255, 0]


def test_code_values_are_rounded_and_clipped_to_the_depth():
    values = torch.tensor([[-3.0, 511.4, 511.6, 5000.0]])
    (codes,) = quantise([values], PixelFormat.parse("gray10le"))
    assert codes.dtype == np.uint16
    assert codes.tolist() == [[0, 511, 512, 1023]]
    (floats,) = quantise([values], PixelFormat.parse("grayf32le"))
    assert floats.dtype == np.float32
    assert floats.tolist() == values.tolist()


def test_float_rgb_passes_unchanged():
    fmt = PixelFormat.parse("gbrpf32le")
    planes = [np.random.default_rng(i).normal(size=(3, 5)).astype(np.float32) * 4 for i in range(3)]
    rgb = planes_to_rgb(to_tensors(planes, "cpu"), fmt, Colour("bt709", True))
    assert torch.equal(rgb[0, 1], torch.from_numpy(planes[0]))
    for sent, back in zip(planes, quantise(rgb_to_planes(rgb, fmt, Colour("bt709", True)), fmt), strict=True):
        assert np.array_equal(sent, back)


@pytest.mark.parametrize(
    ("name", "family", "depth", "chroma", "alpha"),
    [
        ("yuv420p", "yuv", 8, (1, 1), False),
        ("yuvj422p", "yuv", 8, (1, 0), False),
        ("yuva444p12le", "yuv", 12, (0, 0), True),
        ("gray", "grey", 8, (0, 0), False),
        ("gray16le", "grey", 16, (0, 0), False),
        ("gbrap", "rgb", 8, (0, 0), True),
        ("gbrpf32le", "rgb", 32, (0, 0), False),
        ("yuv410p", "yuv", 8, (2, 2), False),
    ],
)
def test_format_names_are_read(name, family, depth, chroma, alpha):
    fmt = PixelFormat.parse(name)
    assert (fmt.family, fmt.depth, fmt.log2_chroma, fmt.alpha) == (family, depth, chroma, alpha)
    assert PixelFormat.parse(fmt.name) == fmt


@pytest.mark.parametrize("name", ["nv12", "rgb24", "yuv420p10be", "yuv420pf32le", "p010le", "", "yuv420p8le"])
def test_unknown_format_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown planar pixel format"):
        PixelFormat.parse(name)


def test_untagged_video_is_read_as_players_do():
    yuv, rgb = PixelFormat.parse("yuv420p"), PixelFormat.parse("gbrp")
    assert Colour.from_tags(yuv, 576).matrix == "bt601"
    assert Colour.from_tags(yuv, 720).matrix == "bt709"
    assert not Colour.from_tags(yuv, 720).full_range
    assert Colour.from_tags(yuv, 720, range_tag=2).full_range
    assert Colour.from_tags(rgb, 720).full_range
    assert Colour.from_tags(yuv, 2160, matrix_tag=9).matrix == "bt2020"
    assert Colour.from_tags(yuv, 1080, matrix_tag=6).matrix == "bt601"
    assert Colour.from_tags(yuv, 1080).siting == "left"
