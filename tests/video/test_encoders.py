"""Which time base and which pixel format an encoder gets."""

from dataclasses import replace
from fractions import Fraction

import av
import pytest
from clips import copy, make_clip

from maskvfi.errors import OptionError
from maskvfi.video import VideoReader
from maskvfi.video.encoders import choose_encoding, choose_time_base
from maskvfi.video.format_choice import losses
from maskvfi.video.pixel_format import PixelFormat
from maskvfi.video.pixels import planar_name

NTSC = Fraction(1001, 30000)


def test_the_time_base_fits_source_frames_frames_between_and_the_grid(tmp_path):
    with VideoReader(make_clip(tmp_path / "a.mp4", time_base=NTSC)) as reader:
        info = reader.info
    for rate in (info.rate * 3, Fraction(60), Fraction(144), info.rate * Fraction(5, 2)):
        tick = choose_time_base(info, rate, "libx264", "mp4")
        assert (info.time_base / tick).denominator == 1
        assert (1 / rate / tick).denominator == 1
        assert tick.numerator == 1
        assert tick.denominator <= 10_000_000
    assert choose_time_base(info, Fraction(60), "mpeg4", "mp4").denominator <= 65535
    assert choose_time_base(info, Fraction(60), "libx264", "avi") == Fraction(1, 60)


@pytest.mark.parametrize(
    ("codec", "source", "written"),
    [
        ("libx264", "gbrp", "yuv420p"),
        ("libx264", "gray", "yuv420p"),
        ("libx265", "gbrp16le", "yuv420p10le"),
        ("libvpx-vp9", "gbrap", "yuva420p"),
        ("libvpx-vp9", "yuva444p", "yuva420p"),
        ("libvpx", "gbrap", "yuva420p"),
        ("libx265", "yuva420p", "yuv420p"),
        ("libx264", "yuv420p12le", "yuv420p10le"),
        ("libx264", "yuva420p", "yuv420p"),
        ("libx264", "yuv410p", "yuv420p"),
        ("libsvtav1", "yuv444p", "yuv420p"),
        ("prores_ks", "yuv420p", "yuv422p10le"),
        ("libx264", "gbrp12le", "yuv420p"),
        ("ffv1", "gbrap", "bgra"),
        ("png", "yuv420p10le", "rgb48be"),
    ],
)
def test_the_nearest_pixel_format_of_an_encoder_is_taken(tmp_path, codec, source, written):
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        info = reader.info
    object.__setattr__(info, "format", PixelFormat.parse(source))
    encoding = choose_encoding(codec, info, {})
    assert encoding.pix_fmt == written
    assert bool(encoding.warnings) == (planar_name(written) != source)


@pytest.mark.parametrize(
    ("codec", "options", "written"),
    [
        ("libx264", {"qp": "0"}, "bgr0"),
        ("libx264", {"crf": "0"}, "bgr0"),
        ("libx265", {"x265-params": "lossless=1"}, "gbrp"),
        ("libvpx-vp9", {"lossless": "1"}, "gbrp"),
        ("ffv1", {}, "bgr0"),
    ],
)
def test_rgb_stays_rgb_where_every_bit_is_asked_for(tmp_path, codec, options, written):
    with VideoReader(make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0", times=2)) as reader:
        assert choose_encoding(codec, reader.info, options).pix_fmt == written


def test_a_pixel_format_can_be_chosen_and_a_wrong_one_is_refused_with_those_there_are(tmp_path):
    with VideoReader(make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0", times=2)) as reader:
        info = reader.info
    chosen = choose_encoding("libx264", info, {}, "yuv444p")
    assert (chosen.codec, chosen.pix_fmt) == ("libx264", "yuv444p")
    assert chosen.warnings == ("gbrp is written as yuv444p, as asked: converted to YUV",)
    chosen = choose_encoding("libx264", info, {}, "rgb24")
    assert (chosen.codec, chosen.pix_fmt, chosen.warnings) == ("libx264rgb", "rgb24", ())
    for codec, name in (("libx264", "yuva420p"), ("png", "yuv420p"), ("libx264", "nonsense")):
        with pytest.raises(OptionError, match=f"pix_fmt '{name}' is not one that {codec} takes; it takes "):
            choose_encoding(codec, info, {}, name)


@pytest.mark.parametrize(
    ("codec", "size"), [("libx264", (64, 48)), ("libx265", (64, 48)), ("libvpx-vp9", (63, 47))]
)
def test_an_odd_size_is_made_even_where_the_encoder_needs_it(tmp_path, codec, size):
    with VideoReader(make_clip(tmp_path / "a.mkv", codec="ffv1", size=(63, 47), times=2)) as reader:
        encoding = choose_encoding(codec, reader.info, {})
    assert (encoding.width, encoding.height) == size
    assert [line for line in encoding.warnings if "odd sizes" in line] == list(encoding.warnings)
    assert bool(encoding.warnings) == (size != (63, 47))


@pytest.mark.parametrize(("name", "encoder"), [("hevc", "libx265"), ("h264", "libx264")])
def test_an_encoder_found_by_what_it_writes_is_used_as_by_its_own_name(tmp_path, name, encoder):
    source = make_clip(tmp_path / "a.mkv", times=3)
    with VideoReader(source) as reader:
        encoding = choose_encoding(name, reader.info, {})
        assert encoding == choose_encoding(encoder, reader.info, {})
    assert (encoding.codec, encoding.options["crf"]) == (encoder, "18")
    copy(source, tmp_path / "b.mp4", codec=name)
    with av.open(str(tmp_path / "b.mp4")) as made:
        assert made.streams.video[0].codec_context.codec_tag == {"hevc": "hvc1", "h264": "avc1"}[name]


@pytest.mark.parametrize(
    ("asked", "crf"), [({}, "24"), ({"crf": "30"}, "30"), ({"lossless": "1"}, None), ({"b": "1M"}, None)]
)
def test_vp9_is_as_good_as_h264_unless_it_is_asked_for_another_quality(tmp_path, asked, crf):
    with VideoReader(make_clip(tmp_path / "a.mkv", times=3)) as reader:
        assert choose_encoding("libvpx-vp9", reader.info, asked).options.get("crf") == crf
    copy(tmp_path / "a.mkv", tmp_path / "b.webm", codec="libvpx-vp9", options=asked)


@pytest.mark.parametrize(
    ("source", "layout", "lost"),
    [
        ("yuv411p", "yuv420p", "with less chroma"),
        ("yuv422p", "yuv440p", "with less chroma"),
        ("yuv420p", "yuv444p", "with nothing lost"),
        ("yuv420p", "yuv420p", ""),
    ],
)
def test_less_chroma_in_either_direction_is_a_loss(source, layout, lost):
    assert losses(PixelFormat.parse(source), PixelFormat.parse(layout)) == lost


def test_an_encoder_that_needs_a_device_is_described_with_it(tmp_path):
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        encoding = choose_encoding("libx264", reader.info, {"preset": "slow", "crf": "20"}, None)
    assert encoding.description == "libx264, crf 20, preset slow"
    needs = replace(encoding, codec="h264_nvenc").description
    assert needs == "h264_nvenc, crf 20, preset slow, which needs its GPU and driver,"
