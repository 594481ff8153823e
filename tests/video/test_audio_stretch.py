"""The sound of slow motion: longer, at the same pitch."""

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import ffmpeg, make_clip, picture, pitch, read, remuxed, sound_of

from maskvfi.video import Frame, VideoReader, VideoWriter


def slowed(source, target, slow, codec="libx264", **window):
    with (
        VideoReader(source, **window) as reader,
        VideoWriter(
            target, reader.info, rate=Fraction(25), codec=codec, copy_from=source, slow=slow, **window
        ) as writer,
    ):
        origin = reader.info.start_time
        for frame in reader:
            pts = origin + (frame.pts - origin) * slow
            writer.write(Frame(frame.planes, frame.format, pts, frame.duration * slow))
    return writer.warnings


@pytest.mark.parametrize("slow", [Fraction(2), Fraction(5), Fraction(3, 2)])
def test_sound_lasts_as_long_as_the_picture_at_the_same_pitch(tmp_path, slow):
    source = make_clip(tmp_path / "a.mp4", times=50, audio="aac")
    target = tmp_path / "b.mp4"
    assert slowed(source, target, slow) == []
    before, after = sound_of(source), sound_of(target)
    assert abs(len(after) / len(before) - slow) < 0.1
    assert abs(pitch(after) / pitch(before) - 1) < 0.01
    assert read(target)[-1][0] == read(source)[-1][0] * slow


def test_a_window_holds_its_own_sound(tmp_path):
    source = make_clip(tmp_path / "a.mp4", times=100, audio="aac")
    slowed(source, tmp_path / "b.mp4", Fraction(2), start=Fraction(1), end=Fraction(2))
    assert abs(len(sound_of(tmp_path / "b.mp4")) / 48000 - 2) < 0.1


def test_the_window_of_the_sound_is_cut_to_the_sample(tmp_path):
    source = make_clip(tmp_path / "a.mkv", times=100, audio="flac")  # in packets of 96 ms
    slowed(source, tmp_path / "b.mkv", Fraction(2), start=Fraction(1), end=Fraction(2))
    assert abs(len(sound_of(tmp_path / "b.mkv")) / 2 - 2 * 48000) <= 2


def test_sound_of_eight_channels_is_cut_and_filled_up(tmp_path):
    source, sound = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2"), ("-f", "lavfi", "-i", "sine=d=2")
    ffmpeg(*source, *sound, "-af", "aformat=channel_layouts=7.1", "-c:a", "flac", tmp_path / "a.mkv")
    slowed(tmp_path / "a.mkv", tmp_path / "b.mkv", Fraction(2), start=Fraction(1, 2), end=Fraction(3, 2))
    with av.open(str(tmp_path / "b.mkv")) as container:
        frames = [*container.decode(audio=0)]
    assert {frame.layout.name for frame in frames} == {"7.1"}
    assert abs(sum(frame.samples for frame in frames) - 2 * 44100) < 90  # Matroska rounds times to 1 ms


def test_sound_after_a_pause_comes_at_its_place(tmp_path):
    clip = make_clip(tmp_path / "whole.mkv", times=100, audio="aac")
    source = remuxed(
        clip,
        tmp_path / "a.mkv",
        lambda p: p if p.stream.type == "video" or not 1000 < p.pts < 3000 else None,
    )
    assert slowed(source, tmp_path / "b.mp4", Fraction(2)) == []
    loud = np.abs(sound_of(tmp_path / "b.mp4")) > 0.1
    assert not loud[int(2.15 * 48000) : int(5.85 * 48000)].any()
    assert [loud[int(t * 48000) :][:4800].any() for t in (0.1, 1.85, 6.05, 7.8)] == [True] * 4
    assert abs(len(loud) / 48000 - 8) < 0.1


@pytest.mark.parametrize("slow", [Fraction(1, 200), Fraction(1, 5), Fraction(50)])
def test_sound_becomes_as_short_or_as_long_as_is_asked(tmp_path, slow):
    source = make_clip(tmp_path / "a.mkv", times=100 if slow < 1 else 5, audio="flac")
    lines = slowed(source, tmp_path / "b.mkv", slow)
    assert not [line for line in lines if "stream 1" in line]
    length = len(sound_of(source)) * slow
    assert len(sound_of(tmp_path / "b.mkv")) == pytest.approx(float(length), rel=0.01)


def test_subtitles_chapters_tags_and_fonts_are_stretched_too(tmp_path):
    source = make_clip(
        tmp_path / "a.mkv",
        times=100,
        audio="flac",
        subtitles=[(400, 1000, "Hello")],
        chapters=[(0, 1000, "One"), (1000, 4000, "Two")],
        font=b"font",
        tags={"title": "Holiday", "artist": "Someone", "comment": "note"},
    )
    target = tmp_path / "b.mkv"
    assert slowed(source, target, Fraction(5, 2), start=Fraction(1, 2), end=Fraction(3)) == []
    with av.open(str(target)) as made:
        tags = {key.lower(): value for key, value in made.metadata.items()}
        assert {"title": "Holiday", "artist": "Someone", "comment": "note"}.items() <= tags.items()
        times = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in made.chapters()
        ]
        assert times == [(0, Fraction(5, 4), "One"), (Fraction(5, 4), Fraction(25, 4), "Two")]
        assert [stream.type for stream in made.streams] == ["video", "audio", "subtitle", "attachment"]
        assert made.streams.subtitles[0].language == "fra"
        line = next(packet for packet in made.demux(subtitles=0) if packet.size)
        assert (line.pts, line.duration) == (0, 2250)


def test_sound_that_the_output_cannot_hold_is_named(tmp_path):
    source = make_clip(tmp_path / "a.mkv", audio="flac")
    with VideoReader(source) as reader:
        made = VideoWriter(
            tmp_path / "b.gif",
            reader.info,
            rate=Fraction(25),
            codec="gif",
            copy_from=source,
            slow=Fraction(2),
        )
        made.abort()
    assert "stream 1 (audio flac) is left out: gif cannot hold it" in made.warnings


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_pcm_is_stretched_whether_it_names_its_channels_or_counts_them(tmp_path, suffix):
    source = make_clip(tmp_path / f"a{suffix}", times=50, audio="pcm_s16le")
    assert slowed(source, tmp_path / "b.mp4", Fraction(2)) == []
    before, after = sound_of(source).reshape(-1, 2)[:, 0], sound_of(tmp_path / "b.mp4")
    assert abs(len(after) / len(before) - 2) < 0.1
    assert abs(pitch(after) / pitch(before) - 1) < 0.01


def with_pcm(path, rate, channels):
    """A second of black pictures and of silence, in any number of channels."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=rate, layout=f"{channels} channels")
        for n in range(25):
            frame = picture(n, 64, 48, "yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(video.encode(frame))
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, rate * channels), np.int16), "s16", f"{channels} channels"
        )
        silence.sample_rate, silence.pts, silence.time_base = rate, 0, Fraction(1, rate)
        out.mux([*video.encode(None), *sound.encode(silence), *sound.encode(None)])
    return path


def test_plain_samples_lose_nothing_in_matroska(tmp_path):
    source = with_pcm(tmp_path / "a.mkv", 192000, 1)
    assert slowed(source, tmp_path / "b.mkv", Fraction(2)) == []
    with av.open(str(tmp_path / "b.mkv")) as made:
        assert (made.streams.audio[0].codec_context.name, made.streams.audio[0].rate) == ("flac", 192000)


def test_a_rate_that_the_encoder_does_not_take_becomes_the_nearest_one(tmp_path):
    source = with_pcm(tmp_path / "a.mkv", 192000, 1)
    assert slowed(source, tmp_path / "b.mov", Fraction(2)) == [
        "stream 1 (audio pcm_s16le) is 192000 Hz 1 channels: written as 96000 Hz mono"
    ]
    with av.open(str(tmp_path / "b.mov")) as made:
        assert (made.streams.audio[0].codec_context.name, made.streams.audio[0].rate) == ("aac", 96000)
        assert abs(sum(frame.samples for frame in made.decode(audio=0)) / 96000 - 2) < 0.1


def test_a_layout_that_the_encoder_does_not_take_becomes_the_usual_one_of_as_many_channels(tmp_path):
    source = recording(tmp_path / "a.mkv", ["5.1(side)"], [48000])
    assert slowed(source, tmp_path / "b.webm", Fraction(2), "libvpx-vp9") == []
    with av.open(str(tmp_path / "b.webm")) as made:
        assert made.streams.audio[0].layout.name == "5.1"
        assert abs(sum(frame.samples for frame in made.decode(audio=0)) / 48000 - 2) < 0.1


@pytest.mark.parametrize(
    ("suffix", "picture_codec", "codec"),
    [(".ogv", "libvpx", "flac"), (".mpg", "libx264", "mp2"), (".vob", "libx264", "mp2")],
)
def test_a_container_that_does_not_take_the_codec_gets_its_own(tmp_path, suffix, picture_codec, codec):
    source = make_clip(tmp_path / "a.mp4", times=25, audio="aac")
    lines = slowed(source, tmp_path / f"b{suffix}", Fraction(2), picture_codec)
    assert not [
        line for line in lines if "left out" in line and "language" not in line and "colours" not in line
    ]
    with av.open(str(tmp_path / f"b{suffix}")) as made:
        assert made.streams.audio[0].codec_context.name.startswith(codec)
        assert abs(sum(frame.samples for frame in made.decode(audio=0)) / 48000 - 2) < 0.1


def test_sound_that_cannot_be_stretched_is_left_out(tmp_path):
    source = with_pcm(tmp_path / "a.mkv", 48000, 11)  # that nobody can make fewer
    assert slowed(source, tmp_path / "b.mkv", Fraction(2)) == [
        "stream 1 (audio pcm_s16le) is left out: matroska cannot hold it"
    ]
    assert len(read(tmp_path / "b.mkv")) == 25


def recording(path, layouts, rates):
    """A recording of pictures and one sound stream of AC-3, which changes every second."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("ac3", rate=rates[0], layout=layouts[0])
        out.start_encoding()
        for n in range(25 * len(layouts)):
            frame = picture(n, 64, 48, "yuv420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for second, (layout, rate) in enumerate(zip(layouts, rates, strict=True)):
            encoder = av.CodecContext.create("ac3", "w")
            encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
            encoder.time_base = Fraction(1, rate)
            wave = np.sin(np.arange(rate) * 2 * np.pi * 1000 / rate).astype(np.float32) / 4
            waves = np.stack([wave] * encoder.layout.nb_channels)
            tone = av.AudioFrame.from_ndarray(waves, "fltp", encoder.layout.name)
            tone.sample_rate, tone.pts, tone.time_base = rate, second * rate, Fraction(1, rate)
            for packet in (*encoder.encode(tone), *encoder.encode(None)):
                packet.stream = sound
                out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("layouts", "rates", "line"),
    [
        (["stereo", "5.1(side)"], [48000, 48000], "is partly 48000 Hz 5.1(side): written as 48000 Hz stereo"),
        (["stereo", "mono", "stereo"], [48000] * 3, "is partly 48000 Hz mono: written as 48000 Hz stereo"),
        (["stereo", "stereo"], [48000, 44100], "is partly 44100 Hz stereo: written as 48000 Hz stereo"),
    ],
)
def test_sound_that_changes_in_the_middle_goes_on(tmp_path, layouts, rates, line):
    source = recording(tmp_path / "a.ts", layouts, rates)
    target = tmp_path / "b.mp4"
    assert f"stream 1 (audio ac3) {line}" in slowed(source, target, Fraction(2))
    with av.open(str(target)) as made:
        assert (made.streams.audio[0].layout.name, made.streams.audio[0].rate) == ("stereo", 48000)
    sound = sound_of(target)
    assert abs(len(sound) / 48000 - 2 * len(layouts)) < 0.2
    for second in range(len(layouts)):
        assert abs(pitch(sound[second * 96000 + 9600 :][:76800]) - 1000) < 20


def test_sound_of_24_bits_stays_so(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as out:
        pictures, sound = out.add_stream("ffv1", rate=25), out.add_stream("flac", rate=48000, layout="mono")
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound.codec_context.format = "s32"
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 5 * k, np.uint8), "yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(pictures.encode(frame))
        wave = np.sin(np.arange(48000) / 20)[None] * 2**30
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int32), "s32", "mono")
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), 0
        out.mux(sound.encode(frame))
        out.mux([*pictures.encode(None), *sound.encode(None)])
    assert slowed(source, tmp_path / "b.mkv", Fraction(2)) == []
    with av.open(str(tmp_path / "b.mkv")) as made:
        assert made.streams.audio[0].codec_context.format.name == "s32"
        values = np.concatenate([frame.to_ndarray().ravel() for frame in made.decode(audio=0)])
    assert (values & 0xFFFF).any()  # more than 16 bits
