"""Which time base and which pixel format an encoder gets."""

from fractions import Fraction

import pytest
from clips import make_clip

from maskvfi.video import VideoReader
from maskvfi.video.encoders import choose_encoding, choose_time_base
from maskvfi.video.pixels import planar_name
from maskvfi.video.planes import PixelFormat

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
        ("libx264", "gbrp", "bgr0"),
        ("libx264", "yuv420p12le", "yuv420p10le"),
        ("libx264", "yuva420p", "yuv420p"),
        ("libx264", "yuv410p", "yuv420p"),
        ("libsvtav1", "yuv444p", "yuv420p"),
        ("prores_ks", "yuv420p", "yuv422p10le"),
        ("libx264", "gbrp12le", "yuv444p10le"),
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
