"""Decoders and encoders of a device: used where there is one, named in a line where there is none."""

import os
import sys

import av
import pytest
from clips import digest, make_clip, read

import maskvfi
from maskvfi.video import VideoReader
from maskvfi.video.encoders import choose_encoding
from maskvfi.video.streams import HWACCELS


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4")


@pytest.mark.parametrize("device", HWACCELS)
def test_a_device_gives_the_frames_of_the_software_decoder_or_a_warning(clip, device):
    with VideoReader(clip, hwaccel=device) as reader:
        decoded = [(frame.pts, frame.duration, digest(frame)) for frame in reader]
        warnings = reader.warnings
    assert decoded == read(clip)
    assert warnings in ([], [f"{clip}: {device} cannot decode it here; decoded in software"])
    if not any(map(os.path.exists, ("/dev/dri", "/dev/nvidia0", "/dev/kfd"))) and sys.platform == "linux":
        assert warnings, "nothing here could have decoded it"


def test_an_unknown_device_is_refused_by_name(clip, tmp_path):
    with pytest.raises(ValueError, match=r"hwaccel must be one of .*, not 'nvdec'"):
        maskvfi.interpolate(clip, tmp_path / "out.mkv", hwaccel="nvdec")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("codec", "given", "expected"),
    [
        ("libx264", {}, {"crf": "18"}),
        ("libx265", {"crf": "22"}, {"crf": "22"}),
        ("hevc_nvenc", {}, {"rc": "vbr", "b": "0", "cq": "18"}),
        ("h264_nvenc", {"crf": "25", "preset": "p7"}, {"rc": "vbr", "b": "0", "cq": "25", "preset": "p7"}),
        ("h264_nvenc", {"b": "8M"}, {"b": "8M"}),
        ("h264_nvenc", {"crf": "20", "rc": "constqp"}, {"rc": "constqp", "b": "0", "cq": "20"}),
        ("libx265", {"x265-params": "aq-mode=3"}, {"crf": "18"}),
        ("h264_qsv", {"crf": "20"}, {"global_quality": "20"}),
        ("libsvtav1", {"crf": "30"}, {"crf": "30"}),
    ],
)
def test_a_quality_is_told_to_every_encoder_in_its_own_words(clip, codec, given, expected):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    with VideoReader(clip) as reader:
        chosen = choose_encoding(codec, reader.info, given).options
    assert {key: value for key, value in chosen.items() if key != "x265-params"} == expected
