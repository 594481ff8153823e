"""Videos as frames with exact times; broken ones as one line that names file and cause."""

import os
import struct
import threading
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch
from clips import copy, digest, ffmpeg, make_clip, picture, read

import maskvfi
from maskvfi.pipeline.preview import rgb_of
from maskvfi.video import Colour, MediaError, PixelFormat, VideoReader
from maskvfi.video.planes import quantise, rgb_to_planes

VFR = (0, 40, 45, 100, 101, 160, 400, 440, 441, 500)  # milliseconds
NTSC = Fraction(1001, 30000)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "libx264"), (".mov", "libx264"), (".ts", "libx264"), (".avi", "libx264"), (".avi", "mpeg4")],
)
def test_frames_come_in_order_with_exact_times(tmp_path, suffix, codec):
    clip = make_clip(tmp_path / f"a{suffix}", times=20, time_base=NTSC, codec=codec, options={"bf": "2"})
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
    assert info.display_matrix[:5:4] == (0, 0)  # a quarter turn
    assert info.sample_aspect_ratio == Fraction(4, 3)
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
    with VideoReader(path, end=Fraction(1, 10)) as reader:
        assert len(list(reader)) == 3
    assert any("times were moved" in line for line in reader.warnings)


def test_a_repeated_time_moves_no_other_frame(tmp_path):
    """The average rate says little where frames come in bursts."""
    slow, fast = [10_000 * n for n in range(5)], [50_000 + 17 * n for n in range(30)]
    times = [*slow, *fast[:10], fast[9], *fast[10:]]
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for n, stamp in enumerate(times):
            for packet in stream.encode(picture(n, 32, 32, "yuv420p")):
                packet.pts = packet.dts = stamp
                packet.time_base = Fraction(1, 1000)
                out.mux(packet)
    with VideoReader(path) as reader:
        found = [round(1000 * frame.pts, 1) for frame in reader]
    assert [n for n, (a, b) in enumerate(zip(found, times, strict=True)) if a != b] == [15]
    assert fast[9] < found[15] < fast[10]


def test_a_file_that_states_no_rate_has_that_of_its_frames(tmp_path):
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx", options={"deadline": "realtime"})  # without a rate
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.time_base = Fraction(1, 1000)
        for n in range(20):
            frame = picture(n, 32, 32, "yuv420p")
            frame.pts, frame.time_base = 50 * n + n % 2, Fraction(1, 1000)
            for packet in stream.encode(frame):
                out.mux(packet)
        out.mux(stream.encode())
    data = path.read_bytes()
    place = data.index(b"\x23\xe3\x83")  # DefaultDuration: becomes Void, as if a browser had not written it
    size = data[place + 3] & 0x7F
    void = b"\xec" + bytes([0x80 | size + 2]) + bytes(size + 2)
    path.write_bytes(data[:place] + void + data[place + len(void) :])
    with VideoReader(path) as reader:
        assert abs(reader.info.rate - 20) < 1
        assert reader.info.frames_estimate < 30


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
    frames = []
    with (
        VideoReader(clip) as reader,
        pytest.raises(MediaError, match=r"(cut off|stopped) after frame \d+ at \d\.\d+ s"),
    ):
        frames.extend(frame.duration for frame in reader)
    assert 20 < len(frames) < 60
    assert frames[-1] == Fraction(1, 25)  # not up to where the whole file would end


def test_a_cut_off_file_that_cannot_be_opened_again_gives_what_was_read(tmp_path):
    """As on a disk that fails; here another file has taken its name."""
    clip = make_clip(
        tmp_path / "a.mp4", times=60, size=(320, 240), container_options={"movflags": "faststart"}
    )
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    with VideoReader(clip) as reader:
        clip.unlink()
        clip.write_bytes(b"no video")
        with pytest.raises(MediaError, match=r"a\.mp4: .*(cut off|stopped)"):
            list(reader)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="no file here whose reading fails")
def test_a_file_that_fails_to_be_read_is_named():
    with pytest.raises(MediaError, match=r"^/proc/self/mem: cannot be read \(input/output error\)$"):
        VideoReader("/proc/self/mem")


def test_gif_that_ends_within_a_picture_is_cut_off(tmp_path):
    clip = tmp_path / "a.gif"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10", "-frames:v", 20, clip)
    data = clip.read_bytes()
    for whole in (data, data[:-1]):  # some programs leave out the last byte, which says that it ends
        clip.write_bytes(whole)
        with VideoReader(clip) as reader:
            assert len(list(reader)) == 20
    line = r"a\.gif: (is cut off|decoding stopped) after frame \d+"
    for length in range(len(data) // 2, len(data) - 1, len(data) // 9):
        clip.write_bytes(data[:length])
        with VideoReader(clip) as reader, pytest.raises(MediaError, match=line):
            list(reader)


def test_yuv4mpeg_that_ends_within_a_frame_is_cut_off(tmp_path):
    clip = make_clip(tmp_path / "a.y4m", codec="wrapped_avframe", times=4)
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 4
    clip.write_bytes(clip.read_bytes()[:-1])
    with VideoReader(clip) as reader, pytest.raises(MediaError, match=r"a\.y4m: is cut off after frame 3"):
        list(reader)


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_matroska_that_ends_a_little_early_is_cut_off(tmp_path, share):
    clip = make_clip(tmp_path / "a.mkv", times=40, size=(320, 240))
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 40
    data = clip.read_bytes()
    clip.write_bytes(data[: round(len(data) * share)])
    with VideoReader(clip) as reader, pytest.raises(MediaError, match=r"a\.mkv: .*cut off"):
        list(reader)


def test_matroska_of_unknown_size_is_whole(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", times=40, container_options={"live": "1"})
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 40


def concatenated(target, *clips):
    target.write_bytes(b"".join(clip.read_bytes() for clip in clips))
    return target


@pytest.mark.parametrize("other", [{"size": (96, 48)}, {"size": (32, 24)}, {"pix_fmt": "yuv422p"}])
def test_frames_after_a_change_of_size_or_format_are_made_like_the_first(tmp_path, other):
    first = make_clip(tmp_path / "a.ts", times=10)
    second = make_clip(tmp_path / "b.ts", times=range(10, 20), **other)
    both = concatenated(tmp_path / "both.ts", first, second)
    with VideoReader(both) as reader:
        frames = list(reader)
    assert {tuple(plane.shape for plane in f.planes) for f in frames} == {((48, 64), (24, 32), (24, 32))}
    assert [digest(f) for f in frames[:10]] == [d for _, _, d in read(first)]
    width, height = other.get("size", (64, 48))
    kind = f"{width}x{height} {other.get('pix_fmt', 'yuv420p')}"
    lines = [line for line in reader.warnings if "scaled" in line]
    assert lines == [
        f"{both}: frame 10 is {kind}: 10 frames were scaled or converted to 64x48 yuv420p, as the first one is"
    ]
    shown = frames[15].planes[0].astype(float)
    original = picture(5, width, height, "yuv420p").to_ndarray()[:height]
    assert np.abs(shown - cv2.resize(original, (64, 48)).astype(float)).mean() < 12


FLAGGED = ("-c:v", "mpeg2video", "-q:v", 2, "-bf", 0, "-flags", "+ildct+ilme", "-top", 1)
MOVING = "testsrc2=s=176x144:r=50"


def combed(path, frames=12, *more):
    """A clip whose frames have two fields of two moments."""
    fields = ("-f", "lavfi", "-i", MOVING, "-vf", "tinterlace=interleave_top", "-frames:v", frames)
    ffmpeg(*fields, *FLAGGED, *more, path)
    return path


def combing(frame):
    """How much the lines of a frame differ from the mean of their neighbours."""
    luma = frame.planes[0].astype(float)
    return np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean()


def interlaced_lines(reader):
    return [line for line in reader.warnings if "interlaced" in line]


def test_interlaced_frames_are_deinterlaced_or_kept(tmp_path):
    clip = combed(tmp_path / "a.mpg")
    frames = {}
    for interlaced in ("keep", "auto", "deinterlace"):
        with VideoReader(clip, interlaced=interlaced) as reader:
            frames[interlaced] = list(reader)
        said = {
            "keep": ["12 frames are flagged interlaced and were kept as they are"],
            "auto": [
                "of 12 frames that are flagged interlaced, 12 look so and were deinterlaced; "
                'interlaced="keep" leaves all as they are, "deinterlace" deinterlaces all'
            ],
            "deinterlace": [],
        }
        assert interlaced_lines(reader) == [f"{clip}: {line}" for line in said[interlaced]]
    times = {name: [(f.pts, f.duration) for f in found] for name, found in frames.items()}
    assert times["keep"] == times["auto"] == times["deinterlace"]
    with av.open(str(clip)) as container:
        stored = [frame.to_ndarray()[:144] for frame in container.decode(video=0)]
    assert all(np.array_equal(f.planes[0], s) for f, s in zip(frames["keep"], stored, strict=True))
    assert np.mean([*map(combing, frames["auto"])]) < 0.7 * np.mean([*map(combing, frames["keep"])])
    assert [digest(f) for f in frames["auto"]] == [digest(f) for f in frames["deinterlace"]]


def test_progressive_frames_that_are_flagged_interlaced_are_left_alone(tmp_path, dev_clips):
    scaled = ("-vf", "scale=320:180,format=yuv420p", "-frames:v", 20, "-an")
    ffmpeg("-i", dev_clips / "bbb_rope_720p.mp4", *scaled, *FLAGGED, tmp_path / "a.mpg")
    with VideoReader(tmp_path / "a.mpg") as reader:
        auto = [digest(frame) for frame in reader]
    assert any("of 20 frames" in line for line in reader.warnings)
    kept = [d for _, _, d in read(tmp_path / "a.mpg", interlaced="keep")]
    assert sum(a == k for a, k in zip(auto, kept, strict=True)) >= 15


def test_progressive_text_that_scrolls_is_left_alone(tmp_path, dev_clips):
    """Its lines change as those of fields do, and FFmpeg's idet is undecided."""
    part = ("-vf", "crop=480:256,format=yuv420p", "-frames:v", 20, "-an")
    ffmpeg("-i", dev_clips / "scrolling_page.mp4", *part, *FLAGGED, tmp_path / "a.mpg")
    auto, kept = ([d for _, _, d in read(tmp_path / "a.mpg", interlaced=each)] for each in ("auto", "keep"))
    assert auto == kept


def test_interlaced_frames_in_a_progressive_stream_do_not_end_it(tmp_path):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=176x144:r=25:d=0.4",
        "-c:v",
        "mpeg2video",
        "-bf",
        0,
        tmp_path / "a.ts",
    )
    combed(tmp_path / "b.ts", 15, "-output_ts_offset", 0.4)
    both = concatenated(tmp_path / "both.ts", tmp_path / "a.ts", tmp_path / "b.ts")
    with VideoReader(both) as reader:
        frames = [digest(frame) for frame in reader]
    with av.open(str(both)) as container:
        assert len(frames) == sum(1 for _ in container.decode(video=0)) > 20
    assert frames[:9] == [d for _, _, d in read(tmp_path / "a.ts")][:9]
    assert "of 15 frames that are flagged interlaced" in interlaced_lines(reader)[0]


def test_progressive_frames_pass_untouched_and_all_are_deinterlaced_when_asked(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", times=6)
    plain = [d for _, _, d in read(clip)]
    assert [d for _, _, d in read(clip, interlaced="keep")] == plain
    assert [d for _, _, d in read(clip, interlaced="deinterlace")][1:] != plain[1:]


@pytest.mark.parametrize("start", [Fraction(7, 3), Fraction(4), Fraction(102, 25)])
def test_a_window_of_an_interlaced_video_has_the_frames_of_the_whole(tmp_path, start):
    clip = combed(tmp_path / "a.mp4", 130, "-g", 20)
    whole = [d for pts, _, d in read(clip) if pts >= start]
    assert [d for _, _, d in read(clip, start=start)] == whole
    with VideoReader(clip, start=start, end=start + 1) as reader:
        assert len(list(reader)) == 25
    assert "that are flagged interlaced" in interlaced_lines(reader)[0]


RAW = {
    "a.h264": "-c:v libx264 -preset ultrafast",
    "b.h264": "-c:v libx264 -bf 2",
    "a.hevc": "-c:v libx265 -preset ultrafast -x265-params log-level=none",
    "a.m2v": "-c:v mpeg2video",
    "a.m4v": "-c:v mpeg4 -f m4v",
}


@pytest.mark.parametrize("rate", ["30", "24000/1001", "50"])
@pytest.mark.parametrize("name", RAW)
def test_a_raw_stream_is_shown_at_the_rate_it_states(tmp_path, name, rate):
    source = ["-f", "lavfi", "-i", f"testsrc2=s=64x48:r={rate}"]
    ffmpeg(*source, "-frames:v", 15, *RAW[name].split(), tmp_path / name)
    with VideoReader(tmp_path / name) as reader:
        frames = list(reader)
    step = 1 / Fraction(rate)
    assert (reader.info.rate, reader.warnings) == (Fraction(rate), [])
    assert [frame.pts - frames[0].pts for frame in frames] == [n * step for n in range(15)]
    assert {frame.duration for frame in frames} == {step}
    with VideoReader(tmp_path / name, rate=Fraction(48)) as reader:
        assert [(f.pts, f.duration) for f in reader] == [
            (Fraction(n, 48), Fraction(1, 48)) for n in range(15)
        ]


def test_a_raw_stream_that_states_no_rate_says_so(tmp_path):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:r=30:d=0.5",
        "-c:v",
        "mjpeg",
        "-f",
        "mjpeg",
        tmp_path / "a.mjpeg",
    )
    with VideoReader(tmp_path / "a.mjpeg") as reader:
        assert reader.info.rate == 25
        assert "states no frame rate: shown at 25 per second" in reader.warnings[0]
    with VideoReader(tmp_path / "a.mjpeg", rate=Fraction(30)) as reader:
        assert (len(list(reader)), reader.info.rate, reader.warnings) == (15, 30, [])


def test_pictures_of_a_camera_one_after_the_other_have_the_rate_that_is_asked_for(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48", "-frames:v", 6, "-q:v", 2, tmp_path / "%d.jpg")
    stream = tmp_path / "a.mjpeg"
    stream.write_bytes(b"".join((tmp_path / f"{n}.jpg").read_bytes() for n in range(1, 7)))
    with VideoReader(stream) as reader:
        assert "states no frame rate: shown at 25 per second" in reader.warnings[0]
    with VideoReader(stream, rate=Fraction(30)) as reader:
        assert [frame.pts for frame in reader] == [Fraction(n, 30) for n in range(6)]
        assert reader.warnings == []


def test_what_an_edit_list_leaves_out_is_not_missing(tmp_path):
    make_clip(tmp_path / "a.mp4", times=50)
    ffmpeg("-ss", "0.9", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert 25 <= len(list(reader)) <= 28
        assert reader.warnings == []


def test_a_rate_for_a_video_with_times_is_named(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", times=3)
    with VideoReader(clip, rate=Fraction(30)) as reader:
        assert reader.info.rate == 25
        assert reader.warnings == [f"{clip}: the rate is not used, its frames have times"]


def test_an_avif_sequence_is_read_whole(tmp_path):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:r=10:d=0.5",
        "-c:v",
        "libaom-av1",
        "-cpu-used",
        8,
        tmp_path / "a.avif",
    )
    frames = read(tmp_path / "a.avif")
    assert [pts for pts, _, _ in frames] == [Fraction(n, 10) for n in range(5)]
    warnings = copy(tmp_path / "a.avif", tmp_path / "b.mp4")
    assert warnings == ["stream 0 (the still picture of the AVIF) is left out"]
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [stream.frames for stream in container.streams] == [5]


def test_cover_art_is_not_the_video(tmp_path, with_cover):
    clip = make_clip(tmp_path / "a.mp4", times=5)
    covered = with_cover(clip, tmp_path / "covered.mp4")
    assert len(read(covered)) == 5


def test_a_rate_that_no_video_has_is_not_believed(tmp_path):
    clip = make_clip(tmp_path / "a.avi", times=5, options={"bf": "0"})
    data = bytearray(clip.read_bytes())
    struct.pack_into(
        "<2I", data, data.index(b"vids") + 20, 1, 2**31 - 1
    )  # frames per second of the AVI header
    clip.write_bytes(data)
    report = maskvfi.interpolate(clip, tmp_path / "out.avi", vfi="blend", mask=None, device="cpu")
    assert report.frames_out == len(read(tmp_path / "out.avi")) == 9


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


def test_pictures_that_a_seek_cannot_decode_are_no_damage(tmp_path):
    clip = tmp_path / "a.mkv"
    coding = ("-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=25")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=6", *coding, clip)
    with VideoReader(clip, start=Fraction(22, 5)) as reader:
        window = [digest(frame) for frame in reader]
    assert reader.warnings == []
    assert window == [kind for _, _, kind in read(clip)[110:]]


@pytest.mark.parametrize("start", ["4.4", "1", "2.45", "3"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_frame_that_is_held_when_the_window_begins_is_shown_from_there(tmp_path, suffix, start):
    clip = make_clip(
        tmp_path / f"a{suffix}", times=(0, 40, 80, 3000, 3040, 6000), time_base=Fraction(1, 1000)
    )
    whole = read(clip)
    origin, start = whole[0][0], Fraction(start)
    got = read(clip, start=start)
    shown = max(n for n, (pts, _, _) in enumerate(whole) if pts - origin <= start)
    assert [d for _, _, d in got] == [d for _, _, d in whole[shown:]]
    assert [pts - origin for pts, _, _ in got] == [start, *(pts - origin for pts, _, _ in whole[shown + 1 :])]
    assert [pts + duration for pts, duration, _ in got][:-1] == [pts for pts, _, _ in got][1:]
    (held,) = read(clip, start=start, end=start + Fraction(1, 100))
    assert held[:2] == (got[0][0], Fraction(1, 100))
    assert held[2] == got[0][2]


@pytest.mark.parametrize(
    ("size", "other"), [((64, 48), (5, 1, 1, 1)), ((32, 24), (5, 1, 1, 1)), ((64, 48), (1, 2, 1, 1))]
)
def test_a_change_of_matrix_or_range_changes_no_colour(tmp_path, size, other):
    """A red field, coded by other rules from the tenth frame on."""
    parts = []
    for name, (width, height), tags in (("a.ts", (64, 48), (1, 1, 1, 1)), ("b.ts", size, other)):
        fmt = PixelFormat.parse("yuv420p")
        meaning = Colour.from_tags(fmt, height, matrix_tag=tags[0], range_tag=tags[1])
        red = torch.tensor([0.8, 0.1, 0.1]).view(1, 3, 1, 1).expand(1, 3, height, width)
        planes = quantise(rgb_to_planes(red, fmt, meaning), fmt)
        with av.open(str(tmp_path / name), "w") as out:
            video = out.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            context = video.codec_context
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
            for k in range(10):
                frame = av.VideoFrame.from_ndarray(
                    np.concatenate([plane.reshape(-1, width) for plane in planes]), format="yuv420p"
                )
                frame.pts = k + (10 if name == "b.ts" else 0)
                frame.colorspace, frame.color_range = tags[:2]
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        parts.append(tmp_path / name)
    with VideoReader(concatenated(tmp_path / "both.ts", *parts)) as reader:
        frames = list(reader)
        info = reader.info
    line = "10 frames of another matrix or range were converted to those of the first"
    assert any(line in warning for warning in reader.warnings)
    before, after = (rgb_of(frame, info)[..., 20, 20].flatten() for frame in (frames[5], frames[15]))
    assert (255 * (before - after)).abs().max() < 3
