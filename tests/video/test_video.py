"""Containers in and out: exact times, untouched source frames, and everything else of a file carried over."""

import io
import shutil
import subprocess
import sys
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import LOSSLESS, copy, digest, make_clip, packets, picture, read

from maskvfi.video import (
    Frame,
    MediaError,
    VideoReader,
    VideoWriter,
    open_sink,
    open_source,
)
from maskvfi.video.encoders import choose_encoding, choose_time_base
from maskvfi.video.pixels import frame_of, packing_of, planar_name, planes_of
from maskvfi.video.planes import PixelFormat

VFR = (0, 40, 45, 100, 101, 160, 400, 440, 441, 500)  # milliseconds
NTSC = Fraction(1001, 30000)


# ---- pixel formats


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
    "name", ["nv12", "nv21", "yuyv422", "p010le", "rgb24", "argb", "rgb48be", "bgr0", "vuya"]
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


def test_a_format_without_planes_is_not_known():
    assert packing_of("bayer_rggb8") is None
    with pytest.raises(ValueError, match="bayer_rggb8 is not supported"):
        planes_of(av.VideoFrame(16, 16, "bayer_rggb8"))


# ---- reading


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".avi"])
def test_frames_come_in_order_with_exact_times(tmp_path, suffix):
    clip = make_clip(
        tmp_path / f"a{suffix}", times=20, time_base=NTSC, options={"bf": "0" if suffix == ".avi" else "3"}
    )
    frames = read(clip)
    first = frames[0][0]
    error = Fraction(1, 90000) if suffix == ".ts" else 0
    assert all(abs(pts - first - n * NTSC) <= error for n, (pts, _, _) in enumerate(frames))
    assert len(frames) == 20


def test_a_variable_rate_keeps_every_time_and_duration(tmp_path):
    clip = make_clip(tmp_path / "vfr.mp4", times=VFR, time_base=Fraction(1, 1000))
    frames = read(clip)
    assert [pts * 1000 for pts, _, _ in frames] == list(VFR)
    assert [duration * 1000 for _, duration, _ in frames] == [*np.diff(VFR), 59]


def test_info_says_what_the_file_is(tmp_path):
    clip = make_clip(
        tmp_path / "a.mp4",
        times=50,
        audio="aac",
        rotation=90,
        aspect=Fraction(4, 3),
        colour=(9, 1, 9, 16),
        options={"chroma_sample_location": "topleft", "preset": "ultrafast"},
    )
    with VideoReader(clip) as reader:
        info = reader.info
    assert (info.width, info.height, info.format.name, info.codec) == (64, 48, "yuv420p", "h264")
    assert (info.rate, info.duration, info.frames_estimate, info.has_audio) == (25, 2, 50, True)
    assert (info.rotation, info.sample_aspect_ratio) == (90, Fraction(4, 3))
    assert (info.colour.matrix, info.colour.full_range, info.colour.siting) == ("bt2020", False, "topleft")
    assert (info.colour.primaries, info.colour.transfer) == (9, 16)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (1, 3), (Fraction(7, 3), Fraction(29, 7)), (4, None), (None, 1)]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_window_holds_the_frames_of_its_time_as_they_are(tmp_path, suffix, start, end):
    clip = make_clip(
        tmp_path / f"a{suffix}", times=130, options={"g": "20", "bf": "2", "preset": "ultrafast"}
    )
    whole = read(clip)
    first = whole[0][0]
    wanted = [f for f in whole if (start or 0) <= f[0] - first < (end or 99)]
    got = read(clip, start=start and Fraction(start), end=end and Fraction(end))
    assert [f[0] for f in got] == [f[0] for f in wanted]
    assert [f[2] for f in got] == [f[2] for f in wanted]
    if end:
        assert got[-1][0] + got[-1][1] <= first + end


def test_times_that_stand_still_are_moved_with_a_warning(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for n, stamp in enumerate((0, 40, 40, 120)):
            for packet in stream.encode(picture(n, 32, 32, "yuv420p")):
                packet.pts = packet.dts = stamp
                packet.time_base = Fraction(1, 1000)
                out.mux(packet)
    with VideoReader(path) as reader:
        times = [frame.pts for frame in reader]
    assert times == sorted(set(times))
    assert len(times) == 4
    assert any("times were moved" in line for line in reader.warnings)


def bad_inputs(folder):
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    with av.open(str(folder / "sound.m4a"), "w") as out:
        sound = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    (folder / "folder").mkdir()
    whole = make_clip(folder / "whole.mp4", times=5).read_bytes()
    (folder / "head.mp4").write_bytes(whole[: len(whole) // 3])


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("missing.mp4", "no such file"),
        ("empty.mp4", "cannot be read as a video"),
        ("noise.mp4", "cannot be read as a video"),
        ("head.mp4", "cannot be read as a video"),
        ("sound.m4a", "audio only"),
        ("folder", "is a folder"),
    ],
)
def test_a_bad_input_is_one_line_that_names_file_and_cause(tmp_path, name, cause):
    bad_inputs(tmp_path)
    with pytest.raises(MediaError, match=cause) as raised:
        VideoReader(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_cut_off_file_says_how_far_it_can_be_read(tmp_path):
    clip = make_clip(
        tmp_path / "a.mp4", times=60, size=(320, 240), container_options={"movflags": "faststart"}
    )
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    with (
        VideoReader(clip) as reader,
        pytest.raises(MediaError, match=r"(cut off|stopped) after frame \d+ at \d\.\d+ s"),
    ):
        list(reader)


def test_a_change_of_size_is_refused(tmp_path):
    first = make_clip(tmp_path / "a.ts", times=10)
    second = make_clip(tmp_path / "b.ts", times=10, size=(96, 48))
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(both) as reader, pytest.raises(MediaError, match="frame 10 is 96x48"):
        list(reader)


def test_interlaced_video_is_refused(tmp_path):
    options = {"x264-params": "tff=1", "preset": "ultrafast"}
    clip = make_clip(tmp_path / "a.mp4", times=5, options=options)
    with pytest.raises(MediaError, match="interlaced"):
        VideoReader(clip)


def test_cover_art_is_not_the_video(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", times=5)
    covered = with_cover(clip, tmp_path / "covered.mp4")
    assert len(read(covered)) == 5


def test_closing_early_stops_the_thread(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", times=100)
    before = threading.active_count()
    with VideoReader(clip, queue=2) as reader:
        next(iter(reader))
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_a_file_object_is_read_like_a_file(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", times=100, options={"g": "10", "preset": "ultrafast"})
    with clip.open("rb") as file, VideoReader(file, start=Fraction(3)) as reader:
        got = [digest(frame) for frame in reader]
    assert got == [d for pts, _, d in read(clip) if pts >= 3]


# ---- writing


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p", ".mp4"),
        ("libx264", "yuv444p10le", ".mkv"),
        ("libx264", "bgr0", ".mp4"),
        ("libx264", "nv12", ".mov"),
        ("libx265", "yuv420p10le", ".mp4"),
        ("ffv1", "yuv422p12le", ".mkv"),
        ("ffv1", "yuva420p", ".mkv"),
        ("ffv1", "bgr0", ".mkv"),
        ("ffv1", "gray16le", ".mkv"),
        ("ffv1", "yuvj420p", ".mkv"),
    ],
)
def test_a_lossless_codec_gives_back_every_bit(tmp_path, codec, pix_fmt, suffix, native):
    if pix_fmt == "yuvj420p":
        source = make_clip(
            tmp_path / "a.avi", codec="mjpeg", pix_fmt=pix_fmt, colour=(5, 2, 1, 1), options={}
        )
    else:
        source = make_clip(
            tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p" if pix_fmt == "nv12" else pix_fmt
        )
    target = tmp_path / f"b{suffix}"
    assert copy(source, target, codec=codec, native=native) == []
    sent, got = read(source), read(target)
    assert [f[2] for f in got] == [f[2] for f in sent]
    with VideoReader(source) as a, VideoReader(target) as b:
        assert a.info.format == b.info.format
        assert a.info.colour.full_range == b.info.colour.full_range


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_mp4_keeps_every_time_of_a_variable_rate_exactly(tmp_path, codec):
    source = make_clip(tmp_path / "a.mp4", times=VFR, time_base=Fraction(1, 1000))
    target = tmp_path / "b.mp4"
    copy(source, target, codec=codec)
    assert [f[0] for f in read(target)] == [f[0] for f in read(source)]
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(500 + 59, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_between_get_exact_times_and_the_last_keeps_its_duration(tmp_path, suffix):
    source = make_clip(tmp_path / "a.mp4", times=40, time_base=NTSC)
    target = tmp_path / f"b{suffix}"
    with VideoReader(source) as reader, VideoWriter(target, reader.info, rate=reader.info.rate * 7) as writer:
        for frame in reader:
            for k in range(7):
                step = frame.duration / 7
                writer.write(Frame(frame.planes, frame.format, frame.pts + k * step, step))
    times = [pts for pts, _, _ in read(target)]
    error = 0 if suffix == ".mp4" else Fraction(1, 2000)
    assert len(times) == 280
    assert all(abs(time - n * NTSC / 7) <= error for n, time in enumerate(times))
    with av.open(str(target)) as container:
        length = Fraction(container.duration, 1_000_000)
    assert abs(length - 40 * NTSC) <= Fraction(1, 1000)


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


def test_audio_is_copied_packet_by_packet_in_sync(tmp_path):
    source = make_clip(tmp_path / "a.mkv", times=100, audio="flac", audio_start=Fraction(1, 2))
    for suffix in (".mkv", ".mp4"):
        target = tmp_path / f"b{suffix}"
        assert copy(source, target) == []
        sent, got = packets(source, "audio"), packets(target, "audio")
        assert [data for _, data in got] == [data for _, data in sent]
        offset = read(target)[0][0] - read(source)[0][0]
        assert max(abs(b - a - offset) for (a, _), (b, _) in zip(sent, got, strict=True)) <= Fraction(1, 1000)


def test_audio_priming_stays_in_front(tmp_path):
    source = make_clip(tmp_path / "a.mp4", times=50, audio="aac")
    assert packets(source, "audio")[0][0] < 0
    target = tmp_path / "b.mp4"
    copy(source, target)
    assert packets(target, "audio") == packets(source, "audio")
    assert read(target)[0][0] == read(source)[0][0] == 0


def test_a_late_start_is_shifted_to_zero_with_its_audio(tmp_path):
    source = make_clip(tmp_path / "a.ts", times=range(50, 100), audio="aac", audio_start=Fraction(2))
    start = read(source)[0][0]
    assert start > 1
    target = tmp_path / "b.mp4"
    copy(source, target)
    shift = read(source)[0][0] - read(target)[0][0]
    pairs = zip(packets(source, "audio"), packets(target, "audio"), strict=True)
    assert all(abs(a - shift - b) <= Fraction(1, 10_000) for (a, _), (b, _) in pairs)
    assert min(read(target)[0][0], packets(target, "audio")[0][0]) == 0


def test_sound_whose_times_stand_still_is_put_in_order(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", times=50, audio="flac")
    source = tmp_path / "still.mkv"
    with av.open(str(clip)) as whole, av.open(str(source), "w") as out:
        targets = {s.index: out.add_stream_from_template(s, opaque=True) for s in whole.streams}
        for packet in whole.demux():
            if packet.size:
                if packet.stream.type == "audio" and 900 < packet.pts < 1200:
                    packet.pts = packet.dts = 900
                packet.stream = targets[packet.stream.index]
                out.mux(packet)
    target = tmp_path / "b.mp4"
    assert copy(source, target) == ["stream 1 (audio flac) has times out of order: they were moved"]
    assert [data for _, data in packets(target, "audio")] == [data for _, data in packets(source, "audio")]


def test_streams_are_interleaved_as_the_video_advances(tmp_path):
    source = make_clip(tmp_path / "a.mkv", times=250, audio="flac")
    target = tmp_path / "b.mkv"
    copy(source, target)
    seen = {"video": Fraction(0), "audio": Fraction(0)}
    with av.open(str(target)) as container:
        for packet in container.demux():
            if packet.size:
                seen[packet.stream.type] = packet.dts * packet.time_base
                assert abs(seen["video"] - seen["audio"]) < Fraction(1, 2)
    assert min(seen.values()) > 9


RICH = {
    "times": 50,
    "audio": "flac",
    "subtitles": [(200, 500, "Hello <i>you</i>"), (900, 400, "Two\nlines")],
    "chapters": [(0, 1000, "One"), (1000, 2000, "Two")],
    "font": b"glyphs" * 50,
    "tags": {"title": "My film", "artist": "Me"},
}


def test_matroska_carries_everything(tmp_path):
    source = make_clip(tmp_path / "a.mkv", **RICH)
    target = tmp_path / "b.mkv"
    assert copy(source, target) == []
    with av.open(str(source)) as a, av.open(str(target)) as b:
        assert [s.type for s in b.streams] == [s.type for s in a.streams]
        assert b.metadata["title"] == "My film"
        assert b.metadata["ARTIST"] == "Me"
        chapters = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in b.chapters()]
        assert chapters == [(0, "One"), (1, "Two")]
        assert b.streams.attachments[0].data == RICH["font"]
        assert b.streams.attachments[0].name == "font.ttf"
        assert b.streams.audio[0].metadata["language"] == "deu"
        assert b.streams.audio[0].metadata["title"] == "Ton"
        assert b.streams.subtitles[0].language == "fra"
        assert b.streams.subtitles[0].disposition & av.stream.Disposition.forced
    assert packets(target, "subtitle") == packets(source, "subtitle")


def test_mp4_gets_text_subtitles_of_its_own_kind_and_names_what_it_cannot_hold(tmp_path):
    source = make_clip(tmp_path / "a.mkv", **RICH)
    target = tmp_path / "b.mp4"
    warnings = copy(source, target)
    assert len(warnings) == 1
    assert "attachment font.ttf" in warnings[0]
    with av.open(str(target)) as container:
        assert container.streams.subtitles[0].codec_context.name == "mov_text"
        assert len(container.chapters()) == 2
        assert container.metadata["title"] == "My film"
    lines = [(time, data[2:]) for time, data in packets(target, "subtitle") if len(data) > 2]
    assert [(time, data.split(b"\x00")[0]) for time, data in lines] == [
        (Fraction(2, 10), b"Hello you"),
        (Fraction(9, 10), b"Two\nlines"),
    ]


def test_mp4_subtitles_become_text_again_in_matroska(tmp_path):
    source = make_clip(tmp_path / "a.mkv", **RICH)
    copy(source, tmp_path / "b.mp4")
    assert copy(tmp_path / "b.mp4", tmp_path / "c.mkv") == []
    lines = [data for _, data in packets(tmp_path / "c.mkv", "subtitle") if data.strip()]
    assert lines == [b"Hello <i>you</i>", b"Two\nlines"] or lines == [b"Hello <i>you</i>", b"Two\r\nlines"]


def test_a_window_cuts_audio_subtitles_and_chapters_with_the_video(tmp_path):
    source = make_clip(tmp_path / "a.mkv", **RICH)
    target = tmp_path / "b.mkv"
    copy(source, target, start=Fraction(2, 5), end=Fraction(6, 5))
    assert [f[0] for f in read(target)] == [Fraction(n, 25) for n in range(20)]
    audio = packets(target, "audio")
    inside = [data for time, data in packets(source, "audio") if Fraction(2, 5) <= time < Fraction(6, 5)]
    assert [data for _, data in audio] == inside
    assert [(t, d) for t, d in packets(target, "subtitle")] == [
        (0, b"Hello <i>you</i>"),
        (Fraction(1, 2), b"Two\nlines"),
    ]
    with av.open(str(target)) as container:
        chapters = [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in container.chapters()]
    assert chapters == [(0, Fraction(6, 10)), (Fraction(6, 10), Fraction(8, 10))]


def with_cover(clip, target):
    """The clip's video and a PNG cover, copied into a new file."""
    cover = av.CodecContext.create("png", "w")
    cover.width, cover.height, cover.pix_fmt, cover.time_base = 16, 16, "rgb24", Fraction(1, 25)
    frame = picture(3, 16, 16, "rgb24")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    data = b"".join(bytes(p) for p in (*cover.encode(frame), *cover.encode(None)))
    with av.open(str(clip)) as source, av.open(str(target), "w") as out, av.open(io.BytesIO(data)) as png:
        video = out.add_stream_from_template(source.streams.video[0], opaque=True)
        art = out.add_stream_from_template(png.streams.video[0], opaque=True)
        art.disposition = av.stream.Disposition.attached_pic
        for packet in png.demux():
            if packet.size:
                packet.stream = art
                out.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = video
                out.mux(packet)
    return target


def test_cover_art_goes_along(tmp_path):
    source = with_cover(make_clip(tmp_path / "a.mp4", times=10), tmp_path / "covered.mp4")
    with av.open(str(source)) as container:
        data = next(bytes(p) for p in container.demux(container.streams.video[1]) if p.size)
    for suffix in (".mp4", ".mkv"):
        target = tmp_path / f"b{suffix}"
        assert copy(source, target) == []
        with av.open(str(target)) as container:
            cover = container.streams.video[1]
            assert cover.disposition & av.stream.Disposition.attached_pic
            assert next(bytes(p) for p in container.demux(cover) if p.size) == data


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rotation_shape_and_colour_tags_are_kept(tmp_path, suffix):
    source = make_clip(
        tmp_path / "a.mp4",
        rotation=90,
        aspect=Fraction(4, 3),
        colour=(9, 1, 9, 16),
        options={"chroma_sample_location": "topleft", "preset": "ultrafast"},
    )
    target = tmp_path / f"b{suffix}"
    assert copy(source, target) == []
    with VideoReader(source) as a, VideoReader(target) as b:
        assert b.info.colour == a.info.colour
        assert b.info.colour.siting == "topleft"
        assert b.info.rotation == 90
        assert b.info.sample_aspect_ratio == Fraction(4, 3)


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


@pytest.mark.parametrize("codec", ["libx265", "libx264", "libsvtav1"])
def test_hdr10_metadata_is_carried(tmp_path, codec):
    options = {
        "x265-params": f"log-level=none:master-display={MASTERING}:max-cll=1000,400",
        "preset": "ultrafast",
    }
    source = make_clip(
        tmp_path / "a.mp4", codec="libx265", pix_fmt="yuv420p10le", options=options, colour=(9, 1, 9, 16)
    )
    target = tmp_path / "b.mp4"
    assert (
        copy(source, target, codec=codec, options={"preset": "10" if "av1" in codec else "ultrafast"}) == []
    )
    with VideoReader(target) as reader:
        hdr = reader.info.hdr
    assert hdr.content_light == (1000, 400)
    assert hdr.chromaticities == ((13250, 34500), (7500, 3000), (34000, 16000), (15635, 16450))
    assert hdr.luminance == (10000000, 50)


def test_an_encoder_without_hdr10_metadata_is_named(tmp_path):
    options = {"x265-params": f"log-level=none:master-display={MASTERING}", "preset": "ultrafast"}
    source = make_clip(tmp_path / "a.mp4", codec="libx265", pix_fmt="yuv420p10le", options=options)
    assert any("ffv1 cannot write HDR10" in line for line in copy(source, tmp_path / "b.mkv", codec="ffv1"))


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


@pytest.mark.parametrize(
    ("suffix", "codec", "audio"),
    [
        (".mov", "libx264", "aac"),
        (".avi", "mpeg4", "libmp3lame"),
        (".ts", "libx264", "aac"),
        (".webm", "libvpx-vp9", "libopus"),
        (".gif", "gif", None),
        (".flv", "libx264", "aac"),
    ],
)
def test_other_containers_work(tmp_path, suffix, codec, audio):
    options = {"deadline": "realtime", "cpu-used": "8"} if "vp9" in codec else {}
    source = make_clip(tmp_path / "a.mkv", times=15, audio=audio)
    target = tmp_path / f"b{suffix}"
    with (
        VideoReader(source) as reader,
        open_sink(target, reader.info, rate=Fraction(25), carry=source, codec=codec, options=options) as sink,
    ):
        for frame in reader:
            sink.write(frame)
    assert len(read(target)) == 15
    with av.open(str(target)) as container:
        assert bool(container.streams.audio) == bool(audio)


def test_webm_drops_sound_it_cannot_hold_and_says_so(tmp_path):
    source = make_clip(tmp_path / "a.mp4", audio="aac")
    warnings = copy(source, tmp_path / "b.webm", codec="libvpx-vp9", options={"deadline": "realtime"})
    assert warnings == ["stream 1 (audio aac) is left out: webm cannot hold it"]


# ---- whole or nothing


@pytest.mark.parametrize(
    ("name", "arguments", "cause"),
    [
        ("b.mp4", {"codec": "nope"}, "no such encoder"),
        ("b.mp4", {"codec": "aac"}, "not an encoder for video"),
        ("b.webm", {}, "webm cannot hold libx264"),
        ("b.xyz", {}, "no container format"),
        ("b.mp4", {"options": {"bogus": "1"}}, "has no option bogus"),
        ("b.mp4", {"options": {"crf": "many"}}, "cannot be written"),
        ("none/b.mp4", {}, "there is no folder"),
        ("there.mp4", {}, "exists already"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, name, arguments, cause):
    (tmp_path / "there.mp4").write_bytes(b"mine")
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(MediaError, match=cause) as raised:
            VideoWriter(tmp_path / name, reader.info, rate=Fraction(25), **arguments)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_run_leaves_nothing_behind(tmp_path, error):
    source = make_clip(tmp_path / "a.mp4", times=30, audio="aac")
    (tmp_path / "b.mp4").write_bytes(b"old")
    threads = threading.active_count()

    def fail():
        with (
            VideoReader(source) as reader,
            VideoWriter(
                tmp_path / "b.mp4", reader.info, rate=Fraction(25), carry=source, overwrite=True
            ) as writer,
        ):
            for n, frame in enumerate(reader):
                writer.write(frame)
                if n == 20:
                    raise error

    with pytest.raises(error):
        fail()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    assert (tmp_path / "b.mp4").read_bytes() == b"old"
    assert threading.active_count() == threads


def test_nothing_to_write_is_an_error(tmp_path):
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        writer = VideoWriter(tmp_path / "b.mp4", reader.info, rate=Fraction(25))
    with pytest.raises(MediaError, match="no frames"):
        writer.finish()
    assert not (tmp_path / "b.mp4").exists()


def test_the_target_appears_only_when_it_is_whole(tmp_path):
    source = make_clip(tmp_path / "a.mp4")
    target = tmp_path / "b: näme.mp4"
    with VideoReader(source) as reader, VideoWriter(target, reader.info, rate=Fraction(25)) as writer:
        for frame in reader:
            writer.write(frame)
            assert not target.exists()
    assert len(read(target)) == 12
    assert copy(source, target, overwrite=True) == []


def test_a_wrong_frame_stops_the_run_with_its_error(tmp_path):
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        frame = next(iter(reader))
        odd = Frame(frame.planes[:1], frame.format, frame.pts, frame.duration)
        writer = VideoWriter(tmp_path / "b.mp4", reader.info, rate=Fraction(25))
        writer.write(odd)
        with pytest.raises(ValueError, match="zip"):
            writer.finish()
    assert not (tmp_path / "b.mp4").exists()


# ---- pipes


class Pipe(io.BytesIO):
    """A stream that can be read or written once, like stdin and stdout."""

    name = "<pipe>"

    def seekable(self):
        return False

    @property
    def buffer(self):
        return self


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray"])
def test_frames_pass_through_yuv4mpeg_pipes_untouched(tmp_path, monkeypatch, pix_fmt):
    source = make_clip(
        tmp_path / "a.mkv", codec="ffv1", pix_fmt=pix_fmt, time_base=Fraction(1, 20), size=(63, 47)
    )
    pipe = Pipe()
    monkeypatch.setattr(sys, "stdout", pipe)
    with open_source(source) as reader, open_sink("-", reader.info, rate=reader.info.rate) as sink:
        for frame in reader:
            sink.write(frame)
    assert sink.warnings == []
    monkeypatch.setattr(sys, "stdin", Pipe(pipe.getvalue()))
    with open_source("-") as reader:
        assert reader.info.rate == 20
        assert [digest(frame) for frame in reader] == [d for _, _, d in read(source)]


def test_a_pipe_says_that_it_keeps_no_variable_rate(tmp_path, monkeypatch):
    source = make_clip(tmp_path / "a.mkv", times=VFR, time_base=Fraction(1, 1000))
    monkeypatch.setattr(sys, "stdout", Pipe())
    with open_source(source) as reader, open_sink("-", reader.info, rate=Fraction(25)) as sink:
        for frame in reader:
            sink.write(frame)
    assert any("off the constant rate" in line for line in sink.warnings)


# ---- real clips, and what FFmpeg's own tools say


@pytest.mark.parametrize(
    ("target", "codec", "frames"), [("b.mkv", "ffv1", 8), ("b.mp4", "libx264", 99), ("b.mp4", "libx265", 6)]
)
def test_an_hdr10_film_of_variable_rate_comes_back_bit_by_bit(dev_clips, tmp_path, target, codec, frames):
    source = dev_clips / "orig_tracks_hdr10_vfr_aac.mp4"
    options = {**LOSSLESS[codec], **({} if codec == "ffv1" else {"preset": "ultrafast"})}
    with VideoReader(source) as reader:
        sent = []
        with VideoWriter(
            tmp_path / target, reader.info, rate=reader.info.rate, codec=codec, options=options, carry=source
        ) as writer:
            for _, frame in zip(range(frames), reader, strict=False):
                sent.append((frame.pts, digest(frame)))
                writer.write(frame)
    assert "HDR10+ metadata of each frame cannot be written: left out" in writer.warnings
    with VideoReader(tmp_path / target) as back:
        got = [(frame.pts, digest(frame)) for frame in back]
        assert back.info.colour == reader.info.colour
        if codec != "ffv1":
            assert back.info.hdr.chromaticities == reader.info.hdr.chromaticities
            assert back.info.hdr.content_light == reader.info.hdr.content_light == (1000, 200)
            assert [p for p, _ in got] == [p for p, _ in sent]
    assert [d for _, d in got] == [d for _, d in sent]
    assert max(abs(a - b) for (a, _), (b, _) in zip(sent, got, strict=True)) <= Fraction(1, 2000)
    assert [d for _, d in packets(tmp_path / target, "audio")] == [d for _, d in packets(source, "audio")]


def test_a_phone_clip_of_variable_rate_keeps_its_times(dev_clips, tmp_path):
    source = dev_clips / "orig_traffic_vfr.mp4"
    target = tmp_path / "b.mp4"
    copy(source, target, options={"preset": "ultrafast"}, end=Fraction(4))
    times = [f[0] for f in read(target)]
    sent = [f[0] for f in read(source, end=Fraction(4))]
    assert [t - times[0] for t in times] == [t - sent[0] for t in sent]


def test_ffprobe_agrees(tmp_path):
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is not installed")
    source = make_clip(
        tmp_path / "a.mkv", times=VFR, audio="flac", time_base=Fraction(1, 1000), colour=(1, 1, 1, 1)
    )
    for suffix in (".mp4", ".mkv"):
        target = tmp_path / f"b{suffix}"
        copy(source, target)
        probe = ["ffprobe", "-v", "error", "-of", "csv=p=0"]
        entries = ["-show_entries", "stream=codec_type,color_space,color_range"]
        streams = subprocess.run([*probe, *entries, target], capture_output=True, text=True, check=True)
        assert streams.stderr == ""
        assert "video,tv,bt709" in streams.stdout
        assert "audio" in streams.stdout
        shown = [*probe, "-select_streams", "v:0", "-show_entries", "frame=pts_time", target]
        times = subprocess.run(shown, capture_output=True, text=True, check=True).stdout.split()
        assert [round(float(time.strip(",")) * 1000) for time in times] == list(VFR)
        length = subprocess.run(
            [*probe, "-show_entries", "format=duration", target], capture_output=True, text=True
        )
        assert abs(float(length.stdout) - 0.559) < 0.03
