"""Files that few programs write: raw DV, DVDs whose sound begins late, edit lists, and others."""

import shutil
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet
from clips import copy, ffmpeg, make_clip, packets, picture, read, remuxed
from PIL import Image

import maskvfi
from maskvfi.errors import OptionError
from maskvfi.options import parse_rate
from maskvfi.pipeline.ends import default_target
from maskvfi.video import VideoReader, open_source
from maskvfi.video.palette import paletted
from maskvfi.video.pixels import planes_of
from maskvfi.video.streams import cropping

RED = (30, 60, 200)  # BGR


def test_raw_dv_has_the_rate_of_its_pictures(tmp_path):
    source = make_clip(
        tmp_path / "tape.dv",
        times=5,
        codec="dvvideo",
        options={},
        pix_fmt="yuv420p",
        size=(720, 576),
        audio="pcm_s16le",
    )
    with VideoReader(source) as reader:
        assert reader.info.rate == 25
    assert maskvfi.interpolate(source, tmp_path / "out.mp4", vfi="blend", mask=None).frames_out == 9


def test_sound_that_begins_late_in_a_dvd_does_not_end_the_film(tmp_path):
    """Its stream is not there when the file is opened, and appears while the packets are read."""
    source = tmp_path / "a.vob"
    noise = np.random.default_rng(0).integers(16, 235, (576 * 3 // 2, 720), np.uint8)
    options = {"flags": "+qscale", "global_quality": "1000", "g": "1"}
    with av.open(str(source), "w", format="vob") as out:
        video, sound = (
            out.add_stream("mpeg2video", rate=25, options=options),
            out.add_stream("mp2", rate=48000),
        )
        video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
        for n in range(60):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.roll(noise, n, 1), format="yuv420p")))
            if n >= 50:
                heard = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), "s16", "stereo")
                heard.sample_rate, heard.pts, heard.time_base = 48000, n * 1920, Fraction(1, 48000)
                out.mux(sound.encode(heard))
        out.mux(video.encode(None))
    with av.open(str(source)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert len(read(source)) == 60


def red_clip(path):
    """A film of one colour in BT.709, as those of HD are."""
    source = make_clip(path, times=2, codec="ffv1", pix_fmt="yuv420p", size=(64, 48))
    bgr = np.full((48, 64, 3), RED, np.uint8)
    with av.open(str(source), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = 1, 1, 1, 1
        for n in range(2):
            frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(
                format="yuv444p", dst_colorspace=1, dst_color_range=1
            )
            frame.pts, frame.time_base = n, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return source


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_pictures_of_an_hd_film_have_its_colours(tmp_path, suffix):
    source = red_clip(tmp_path / "a.mkv")
    maskvfi.interpolate(source, tmp_path / "out" / f"%d{suffix}", vfi="blend", mask=None)
    shown = cv2.imread(str(tmp_path / "out" / f"1{suffix}"))
    assert np.abs(shown.astype(int) - RED).max() <= 3


def test_an_animated_webp_of_an_hd_film_has_its_colours(tmp_path):
    source = red_clip(tmp_path / "a.mkv")
    maskvfi.interpolate(source, tmp_path / "a.webp", vfi="blend", mask=None)
    shown = np.asarray(Image.open(tmp_path / "a.webp").convert("RGB"))[..., ::-1]
    assert np.abs(shown.astype(int) - RED).max() <= 4


@pytest.mark.parametrize("target", ["b.mkv", "b.mp4"])
def test_chapters_that_begin_before_the_pictures_are_kept(tmp_path, target):
    source = make_clip(
        tmp_path / "a.mkv",
        times=range(500, 2000, 100),
        time_base=Fraction(1, 1000),
        chapters=[(0, 1000, "one"), (1000, 1900, "two")],
    )
    copy(source, tmp_path / target)
    with av.open(str(tmp_path / target)) as made:
        chapters = [(c["metadata"]["title"], float(c["start"] * c["time_base"])) for c in made.chapters()]
    assert chapters == [("one", 0.0), ("two", pytest.approx(0.5, abs=0.002))]


def test_a_time_code_of_many_frames_a_second_does_not_end_the_run(tmp_path):
    source = make_clip(tmp_path / "a.mov", time_base=Fraction(1, 240), tags={"timecode": "01:00:00:00"})
    report = maskvfi.interpolate(source, tmp_path / "b.mov", vfi="blend", mask=None)
    assert "the time code 01:00:00:000 cannot be written at the new frame rate: left out" in report.warnings


def test_what_an_edit_list_hides_stays_hidden(tmp_path):
    """FFmpeg's own cut without encoding keeps the packets before it, which MP4 marks as not to be shown."""
    source = make_clip(tmp_path / "a.mp4", times=50, audio="aac")

    def earlier(packet: Packet) -> Packet:
        moved = round(Fraction(1) / packet.time_base)
        packet.pts, packet.dts = packet.pts - moved, packet.dts - moved
        return packet

    cut = remuxed(source, tmp_path / "cut.mp4", earlier)
    with av.open(str(cut)) as container:
        assert any(packet.is_discard for packet in container.demux(audio=0))
    copy(cut, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as made:
        begins = [float(s.start_time * s.time_base) for s in made.streams]
    assert max(begins) - min(begins) < 0.15


def test_an_opaque_palette_is_no_alpha_channel(tmp_path):
    source = tmp_path / "game.avi"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("msrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for n in range(3):
            frame = paletted(planes_of(picture(n, 64, 48, "gbrp")))
            frame.pts, frame.time_base = n, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with VideoReader(source) as reader:
        assert reader.info.format.name == "gbrp"
        assert all(len(frame.planes) == 3 for frame in reader)


def test_cropping_by_the_container_is_found():
    assert cropping(b"..\x54\xbb\x81\x10..\x54\xcc\x82\x01\x00..\x54\xaa\x81\x00") == {"top": 16, "left": 256}
    assert cropping(b"") == {}


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_the_profile_of_an_animation_is_named(tmp_path, kind):
    profile = b"\0" * 36 + b"acsp" + b"\0" * 88
    pictures = [Image.fromarray(np.full((48, 64, 3), 40 * n, np.uint8)) for n in range(3)]
    source = tmp_path / f"a.{kind.lower()}"
    pictures[0].save(
        source, kind, save_all=True, append_images=pictures[1:], duration=100, icc_profile=profile
    )
    with open_source(source) as reader:
        assert reader.info.profile == profile


def test_a_rate_that_rounds_to_nothing_is_a_rate():
    assert parse_rate("0.004") == Fraction(1, 250)


@pytest.mark.parametrize("source", ["clip", "https://example.org/film.mp4?at=a/b.c"])
def test_an_output_without_a_format_must_be_named(source):
    with pytest.raises(OptionError, match="an output must be named"):
        default_target(source, Fraction(2), Fraction(1))


def subtitled(path):
    return make_clip(path, times=50, subtitles=[(500, 400, "AAAA"), (1000, 400, "BBBB"), (1500, 400, "CCCC")])


def test_a_subtitle_that_begins_before_the_one_in_front_of_it_does_not_end_the_run(tmp_path):
    source = subtitled(tmp_path / "a.mkv")
    data = bytearray(source.read_bytes())
    b, c = (
        slice(at - 3, at - 1) for at in (data.index(b"BBBB"), data.index(b"CCCC"))
    )  # the times of their blocks
    data[b], data[c] = data[c], data[b]
    source.write_bytes(data)
    warnings = copy(source, tmp_path / "b.mkv")
    assert "stream 1 (subtitle srt) has times out of order: they were moved" in warnings
    assert [text for _, text in packets(tmp_path / "b.mkv", "subtitle")] == [b"AAAA", b"BBBB", b"CCCC"]


def test_sound_whose_times_fall_into_one_tick_of_an_avi_is_moved(tmp_path):
    """AC-3 of 44100 Hz has a frame every 34.8 ms; Matroska rounds to 1 ms, and AVI to a frame of sound."""
    source = make_clip(tmp_path / "v.mkv", times=25)
    with av.open(str(source)) as given, av.open(str(tmp_path / "a.mkv"), "w") as out:
        video = out.add_stream_from_template(given.streams.video[0])
        sound = out.add_stream("ac3", rate=44100)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
        for n in range(25):
            heard = av.AudioFrame.from_ndarray(np.zeros((2, 1536), np.float32), "fltp", "stereo")
            heard.sample_rate, heard.pts, heard.time_base = 44100, 750 + 1536 * n, Fraction(1, 44100)
            out.mux(sound.encode(heard))
        out.mux(sound.encode(None))
    copy(tmp_path / "a.mkv", tmp_path / "b.avi")
    assert len(packets(tmp_path / "b.avi", "audio")) == len(packets(tmp_path / "a.mkv", "audio"))


def test_subtitles_without_a_decoder_are_left_out_by_name(tmp_path):
    """TTML, as broadcasters and shops have it."""
    source = subtitled(tmp_path / "a.mkv")
    with av.open(str(source)) as given, av.open(str(tmp_path / "ttml.mp4"), "w") as out:
        text = given.streams.subtitles[0]
        text.codec_context.open(strict=False)
        video, target = out.add_stream_from_template(given.streams.video[0]), out.add_stream("ttml")
        target.codec_context.subtitle_header = text.codec_context.subtitle_header
        for packet in given.demux():
            if packet.stream.type == "video" and packet.size:
                packet.stream = video
                out.mux(packet)
            elif packet.size:
                made = target.codec_context.encode_subtitle(text.decode2(packet))
                made.pts = made.dts = packet.pts
                made.duration, made.time_base, made.stream = packet.duration, packet.time_base, target
                out.mux(made)
    warnings = copy(tmp_path / "ttml.mp4", tmp_path / "b.mkv")
    assert any("subtitle" in line and "is left out" in line for line in warnings)


def test_a_webm_with_alpha_is_read_from_a_place_in_it(tmp_path):
    source = make_clip(
        tmp_path / "a.webm", times=100, codec="libvpx-vp9", options={"g": "25"}, pix_fmt="yuva420p"
    )
    whole = read(source)
    assert [digest for *_, digest in read(source, start=Fraction(3))] == [digest for *_, digest in whole[75:]]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg, and PyAV encodes no TrueHD")
def test_units_of_sound_shorter_than_a_millisecond_stay_in_time(tmp_path):
    """TrueHD has 1200 a second, and Matroska times of 1/1000 s."""
    source, sine = make_clip(tmp_path / "v.mkv", times=50), "sine=sample_rate=48000:duration=2"
    coded = ("-c:v", "copy", "-c:a", "truehd", "-strict", "-2", "-f", "mpegts", tmp_path / "a.m2ts")
    ffmpeg("-i", source, "-f", "lavfi", "-i", sine, "-ac", 2, *coded)
    warnings = copy(tmp_path / "a.m2ts", tmp_path / "b.mkv")
    assert not any("out of order" in line for line in warnings)
    times = [float(time) for time, _ in packets(tmp_path / "b.mkv", "audio")]
    assert max(times) - min(times) < 2.01
