"""HDR metadata of each frame: HDR10+ and Dolby Vision go from the source into every frame of the output."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from clips import picture

import maskvfi
from maskvfi.video import VideoReader, VideoWriter, muxer
from maskvfi.video.dolby_vision import with_dolby_vision
from maskvfi.video.hdr10plus import message_of, with_message
from maskvfi.video.pixels import planes_of
from maskvfi.video.side_data import read_side_data, with_only

MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
# One message and one unit of the test files of quietvoid's hdr10plus_tool and dovi_tool (MIT).
HDR10_PLUS = bytes.fromhex(
    "b5003c00010401400000008b4c41ff1bd601036408000c28db205000acc800e190036e581032d02a6af848f318e1b40000"
)
DOLBY_VISION = bytes.fromhex(
    "7c0119080908406136506f003ff801ffc00fffd0000008000006800000400000340000030200000301a2566000035ea2566f9fceb1c256"
    "644ca00000100000030080000003008000000301c36224301860a5e308e0514000001a63e5affff00000030000030000030006020"
    "0f80e15103008005862300080500000030000030000030120c07d000021ed800f05301c00400400020900285808800003fe000213f6997b80"
)
PQ, HLG = 16, 18


def hdr_clip(
    path: Path,
    message: bytes = b"",
    unit: bytes = b"",
    transfer: int = PQ,
    frames: int = 8,
    primaries: int = 9,
) -> Path:
    """A film of HEVC in 10 bits; each frame has this HDR10+ message, and ends with this unit."""
    own = f"log-level=none:keyint=4:master-display={MASTERING}" if transfer == PQ else "log-level=none"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25, options={"preset": "ultrafast", "x265-params": own})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = 9, 1
        context.color_primaries, context.color_trc = primaries, transfer
        for n in [*range(frames), None]:
            for packet in stream.encode(None if n is None else picture(n, 64, 48, "yuv420p10le")):
                data = with_message(packet, "libx265", message) if message else packet
                whole = av.Packet(bytes(data) + (b"\0\0\0\1" + unit if unit else b""))
                whole.pts, whole.dts, whole.time_base = packet.pts, packet.dts, packet.time_base
                whole.is_keyframe, whole.stream = packet.is_keyframe, stream
                out.mux(whole)
    return path


def side_data(path: Path, kind: str) -> list[bytes | None]:
    with av.open(str(path)) as container:
        return [read_side_data(frame).get(kind) for frame in container.decode(video=0)]


def messages(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [message_of(frame) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("codec", "target"), [("libx265", "b.mp4"), ("libx265", "b.mkv"), ("libsvtav1", "b.mp4")]
)
def test_every_frame_has_the_hdr10_plus_message_of_its_source(tmp_path, codec, target):
    source = hdr_clip(tmp_path / "a.mkv", message=HDR10_PLUS)
    report = maskvfi.interpolate(source, tmp_path / target, vfi="blend", codec=codec)
    assert not any("HDR10+" in line for line in report.warnings)
    assert messages(tmp_path / target) == [HDR10_PLUS] * 15


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize(
    ("codec", "target"), [("libx265", "b.mp4"), ("libx265", "b.mkv"), ("libsvtav1", "b.mp4")]
)
def test_every_frame_has_the_dolby_vision_metadata_of_its_source(tmp_path, codec, target, transfer):
    source = hdr_clip(tmp_path / "a.mkv", unit=DOLBY_VISION, transfer=transfer)
    report = maskvfi.interpolate(source, tmp_path / target, vfi="blend", codec=codec)
    assert not any("Dolby Vision" in line for line in report.warnings)
    (metadata,) = set(side_data(source, "DOVI_METADATA"))
    assert metadata is not None
    assert side_data(tmp_path / target, "DOVI_METADATA") == [metadata] * 15
    assert b"dvvC" in (tmp_path / target).read_bytes()  # by this players know it


def test_all_fields_of_a_message_are_kept(tmp_path):
    """Two windows, both tables of peak luminance, percentiles, tone curves and a weight of saturation."""
    provider = [(0xB5, 8), (0x003C, 16), (1, 16), (4, 8), (1, 8)]
    ellipse = [
        (10, 16),
        (20, 16),
        (40, 16),
        (30, 16),
        (32, 16),
        (24, 16),
        (90, 8),
        (5, 16),
        (9, 16),
        (7, 16),
        (1, 1),
    ]
    peaks = [(1, 1), (2, 5), (3, 5), *((n, 4) for n in (0, 15, 3, 9, 1, 7))]
    light = [
        (100_000, 17),
        (1, 17),
        (54_321, 17),
        (777, 17),
        (2, 4),
        (1, 7),
        (12_345, 17),
        (99, 7),
        (99_999, 17),
        (512, 10),
    ]
    curve = [(1, 1), (4095, 12), (17, 12), (3, 4), (1, 10), (512, 10), (1023, 10), (1, 1), (33, 6)]
    fields = [*provider, (2, 2), *ellipse, (4000, 27), *peaks, *light, *light, *peaks, *curve, (0, 1), (0, 1)]
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    bits += "0" * (-len(bits) % 8)
    message = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert messages(hdr_clip(tmp_path / "a.mkv", message=message)) == [message] * 8


def test_a_long_message_with_zeros_is_no_start_code(tmp_path):
    """Its unit needs two bytes for its size, and emulation prevention."""
    zeros = [(0, 4)] * 625
    fields = [
        (0xB5, 8),
        (0x003C, 16),
        (1, 16),
        (4, 8),
        (1, 8),
        (1, 2),
        (0, 27),
        (1, 1),
        (25, 5),
        (25, 5),
        *zeros,
    ]
    fields += [*[(0, 17)] * 4, (0, 4), (0, 10), (0, 1), (0, 1), (0, 1)]
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    bits += "0" * (-len(bits) % 8)
    message = int(bits, 2).to_bytes(len(bits) // 8, "big")
    assert messages(hdr_clip(tmp_path / "a.mkv", message=message)) == [message] * 8


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("ffv1", {}),
        ("libx264", {}),
        ("libx265", {"x265-params": "lossless=1"}),
        ("libx265", {"qp": "10"}),
        ("libx265", {"x265-params": "qp=10:log-level=none"}),
        ("libsvtav1", {}),
    ],
)
def test_what_cannot_keep_them_is_named(tmp_path, codec, options):
    source = hdr_clip(tmp_path / "a.mkv", message=HDR10_PLUS, unit=DOLBY_VISION)
    target, pix_fmt = tmp_path / "b.mkv", "yuv420p" if codec == "libsvtav1" else None
    report = maskvfi.interpolate(
        source, target, vfi="blend", codec=codec, encoder_options=options, pix_fmt=pix_fmt
    )
    lost = "HDR10+ and Dolby Vision" if codec in ("ffv1", "libx264") else "Dolby Vision"
    assert f"{lost} metadata of each frame cannot be written: left out" in report.warnings


def test_masks_comparisons_and_protected_frames_keep_both(tmp_path):
    source = hdr_clip(tmp_path / "a.mkv", message=HDR10_PLUS, unit=DOLBY_VISION)
    made = tmp_path / "made.mp4"
    maskvfi.interpolate(source, made, vfi="blend", encoder_options={"preset": "ultrafast"})
    maskvfi.mask_video(source, tmp_path / "mask.mp4", overlay=True)
    maskvfi.compare(source, tmp_path / "both.mp4", vfi="blend")
    maskvfi.protect(source, made, tmp_path / "protected.mp4", codec="libx265")
    for name, frames in (("mask", 8), ("both", 15), ("protected", 15)):
        assert messages(tmp_path / f"{name}.mp4") == [HDR10_PLUS] * frames
        assert None not in side_data(tmp_path / f"{name}.mp4", "DOVI_METADATA")


def test_colours_without_all_tags_are_no_dolby_vision(tmp_path):
    """The encoder would not start."""
    source = hdr_clip(tmp_path / "a.mkv", unit=DOLBY_VISION, primaries=2)
    report = maskvfi.interpolate(source, tmp_path / "b.mp4", vfi="blend")
    assert "Dolby Vision metadata of each frame cannot be written: left out" in report.warnings


def test_a_frame_that_lost_its_metadata_gets_those_of_the_last_one(tmp_path):
    with VideoReader(hdr_clip(tmp_path / "a.mkv", unit=DOLBY_VISION)) as reader:
        frames = list(reader)
        frames[3].origin = frames[3].native = picture(3, 64, 48, "yuv420p10le")
        with VideoWriter(tmp_path / "b.mp4", reader.info, rate=reader.info.rate, codec="libx265") as writer:
            for frame in frames:
                writer.write(frame)
    assert None not in side_data(tmp_path / "b.mp4", "DOVI_METADATA")


def test_they_are_the_same_if_a_run_is_gone_on_with(tmp_path, monkeypatch):
    """The second segment begins with a frame that lost its own."""
    monkeypatch.setattr(muxer, "SEGMENT", 4)
    source, made = hdr_clip(tmp_path / "a.mkv", unit=DOLBY_VISION), []
    for name, resumed in (("b.mkv", False), ("c.mkv", True)):
        for stop in (4, 8) if resumed else (8,):
            with VideoReader(source) as reader:
                frames = list(reader)
                frames[4].origin = frames[4].native = picture(4, 64, 48, "yuv420p10le")
                how = {"rate": reader.info.rate, "codec": "libx265", "facts": {}, "resume": resumed}
                with suppress(KeyboardInterrupt), VideoWriter(tmp_path / name, reader.info, **how) as writer:
                    for frame in frames[writer.kept : stop]:
                        writer.write(frame)
                        writer.mark({})
                    if stop < 8:
                        raise KeyboardInterrupt
        made.append(side_data(tmp_path / name, "DOVI_METADATA"))
    assert made[0] == made[1]
    assert len(made[0]) == 8
    assert None not in made[0]


def test_a_mastering_display_without_primaries_is_no_dolby_vision(tmp_path):
    """x265 would not start."""
    with VideoReader(hdr_clip(tmp_path / "a.mkv", unit=DOLBY_VISION)) as reader:
        info = replace(reader.info, hdr=replace(reader.info.hdr, chromaticities=None))
        with VideoWriter(tmp_path / "b.mkv", info, rate=info.rate, codec="libx265") as writer:
            for frame in reader:
                writer.write(frame)
    assert "Dolby Vision metadata of each frame cannot be written: left out" in writer.warnings


def test_a_picture_of_another_size_and_format_gets_them(tmp_path):
    """Devices decode to p010le, and some containers keep no rotation, so that pictures are turned."""
    with av.open(str(hdr_clip(tmp_path / "a.mkv", unit=DOLBY_VISION))) as container:
        decoded = next(container.decode(video=0))
    for model in (decoded, with_only(decoded, Type.DOVI_METADATA, picture(0, 64, 48, "p010le"))):
        given = picture(5, 48, 64, "yuv420p10le")
        made = with_dolby_vision(given, model)
        assert read_side_data(made).keys() == {"DOVI_METADATA"}
        assert made.format.name == given.format.name
        for a, b in zip(planes_of(given), planes_of(made), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_film_of_several_segments_keeps_them(tmp_path):
    source = hdr_clip(tmp_path / "a.mkv", message=HDR10_PLUS, unit=DOLBY_VISION, frames=140)
    maskvfi.interpolate(source, tmp_path / "b.mkv", vfi="blend", mask=None)
    assert messages(tmp_path / "b.mkv") == [HDR10_PLUS] * 279
    assert None not in side_data(tmp_path / "b.mkv", "DOVI_METADATA")


def test_a_phone_films_messages_are_kept(dev_clips, tmp_path):
    source = dev_clips / "orig_tracks_hdr10_vfr_aac.mp4"
    report = maskvfi.interpolate(
        source, tmp_path / "b.mp4", vfi="blend", mask=None, end=0.2, encoder_options={"preset": "ultrafast"}
    )
    assert not any("HDR10+" in line for line in report.warnings)
    with VideoReader(source) as reader, VideoReader(tmp_path / "b.mp4") as back:
        given, got = ([message_of(frame.native) for frame in each] for each in (reader, back))
    assert len(got) > 3
    assert got[::2] == given[: len(got[::2])]
    assert all(got)
