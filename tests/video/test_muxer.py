"""Frames as whole video files: every bit and every time, in many containers, or nothing at all."""

import shutil
import subprocess
import threading
from fractions import Fraction

import av
import pytest
from clips import copy, make_clip, read

from maskvfi.errors import MaskvfiError
from maskvfi.video import Frame, MediaError, VideoReader, VideoWriter, open_sink

VFR = (0, 40, 45, 100, 101, 160, 400, 440, 441, 500)  # milliseconds
NTSC = Fraction(1001, 30000)


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
        assert b.info.display_matrix == a.info.display_matrix is not None
        assert b.info.sample_aspect_ratio == Fraction(4, 3)


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
        open_sink(
            target, reader.info, rate=Fraction(25), copy_from=source, codec=codec, options=options
        ) as sink,
    ):
        for frame in reader:
            sink.write(frame)
    assert len(read(target)) == 15
    with av.open(str(target)) as container:
        assert bool(container.streams.audio) == bool(audio)


@pytest.mark.parametrize(
    ("name", "arguments", "cause"),
    [
        ("b.mp4", {"codec": "nope"}, "no such encoder"),
        ("b.mp4", {"codec": "aac"}, "not an encoder for video"),
        ("b.webm", {}, "webm cannot hold libx264"),
        ("b.xyz", {}, "no container format"),
        ("b.mp4", {"options": {"bogus": "1"}}, "has no option bogus"),
        ("b.mp4", {"options": {"bogus": "1"}}, "^encoder_options: "),
        ("b.mp4", {"codec": "mpeg4", "options": {"crf": "20"}}, "^mpeg4 has no option crf"),
        ("b.mp4", {"options": {"crf": "many"}}, "mp4 with libx264, crf many cannot be written"),
        ("none/b.mp4", {}, "there is no folder"),
        ("there.mp4", {}, "exists already"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, name, arguments, cause):
    (tmp_path / "there.mp4").write_bytes(b"mine")
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(MaskvfiError, match=cause) as raised:
            VideoWriter(tmp_path / name, reader.info, rate=Fraction(25), **arguments)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


def test_a_folder_that_takes_the_name_meanwhile_stays_and_the_result_is_kept(tmp_path):
    with VideoReader(make_clip(tmp_path / "a.mp4")) as reader:
        writer = VideoWriter(tmp_path / "b.mp4", reader.info, rate=Fraction(25))
        for frame in reader:
            writer.write(frame)
        (tmp_path / "b.mp4").mkdir()
        with pytest.raises(MediaError, match=r"b\.mp4: exists by now, and overwrite is not set; the whole"):
            writer.finish()
    kept = tmp_path.glob(".b.*.partial.mp4")
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "a.mp4", tmp_path / "b.mp4"])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_run_leaves_nothing_behind(tmp_path, error):
    source = make_clip(tmp_path / "a.mp4", times=30, audio="aac")
    (tmp_path / "b.mp4").write_bytes(b"old")
    threads = threading.active_count()

    def fail():
        with (
            VideoReader(source) as reader,
            VideoWriter(
                tmp_path / "b.mp4", reader.info, rate=Fraction(25), copy_from=source, overwrite=True
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
