"""Sound, subtitles, chapters, attachments and cover art, copied from the source."""

from fractions import Fraction

import av
import numpy as np
import pytest
from clips import copy, ffmpeg, make_clip, packets, read, remuxed, sound_of

import maskvfi


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

    def stopped(packet):
        if packet.stream.type == "audio" and 900 < packet.pts < 1200:
            packet.pts = packet.dts = 900
        return packet

    source = remuxed(clip, tmp_path / "still.mkv", stopped)
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


def test_matroska_keeps_everything(tmp_path):
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


def test_cover_art_goes_along(tmp_path, with_cover):
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


def loud(path):
    """The sound of a file in 8 kHz mono, and where its picture begins, in seconds of its clock."""
    with av.open(str(path)) as found:
        sampled = av.AudioResampler("flt", "mono", 8000)
        frames = [part for frame in found.decode(audio=0) for part in sampled.resample(frame)]
        sound = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        begin = float(frames[0].pts * frames[0].time_base)
    with av.open(str(path)) as found:
        return sound, begin - float(next(found.decode(video=0)).time)


@pytest.mark.parametrize(
    ("source", "sound", "target", "codec"),
    [
        ("a.mp4", "aac", "b.webm", "libopus"),
        ("a.mkv", "pcm_alaw", "b.mkv", "flac"),
        ("a.mkv", "pcm_mulaw", "b.mp4", "aac"),
        ("a.mkv", "wmav2", "b.mkv", "aac"),
        ("a.avi", "adpcm_ms", "b.avi", "aac"),
        ("a.mp4", "aac", "b.mxf", "pcm_s24le"),
    ],
)
def test_sound_that_a_container_does_not_hold_is_encoded_again(tmp_path, source, sound, target, codec):
    """It stays where it was; AVI cannot say that AAC begins with 1024 samples that are not heard."""
    beep = "sine=1000:r=44100:d=2,volume='gte(t,1)':eval=frame"
    picture = ("-c:v", "mpeg4" if source.endswith("avi") else "libx264", "-bf", "0", "-c:a", sound)
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:r=25:d=2",
        "-f",
        "lavfi",
        "-i",
        beep,
        *picture,
        tmp_path / source,
    )
    how = {
        "b.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}},
        "b.avi": {"codec": "ffv1"},
    }.get(target, {})
    warnings = copy(tmp_path / source, tmp_path / target, **how)
    muxer = {".mkv": "matroska"}.get((tmp_path / target).suffix, target[2:])
    assert f"stream 1 (audio {sound}) is encoded again with {codec}: {muxer} cannot hold it" in warnings
    onsets = []
    for path in (tmp_path / source, tmp_path / target):
        heard, begin = loud(path)
        onsets.append(begin + np.argmax(np.abs(heard) > 0.3 * np.abs(heard).max()) / 8000)
    assert onsets[1] == pytest.approx(onsets[0], abs=0.025 if target == "b.avi" else 0.002)


@pytest.mark.parametrize(
    ("source", "sound", "late", "target"),
    [
        ("a.avi", "ac3", 0, "b.avi"),  # bytes of a block, a number of AVI's own, travel with the stream
        ("a.mkv", "eac3", 0, "b.avi"),
        ("a.mkv", "aac", 0.5, "b.avi"),  # AVI cannot say that sound begins later
        ("a.mkv", "truehd", 0, "b.mp4"),  # its packets are closer than Matroska's milliseconds
        ("a.mxf", "pcm_s16le", 0, "b.mxf"),
        ("a.mkv", "pcm_s16le", 0.5, "b.mxf"),  # nor can MXF
    ],
)
def test_sound_keeps_its_pace_and_its_start(tmp_path, source, sound, late, target):
    beep = "sine=1000:r=48000:d=3,volume='gte(t,2)':eval=frame"
    codec = "mpeg2video" if target.endswith("mxf") else "mpeg4"
    picture = ("-c:v", codec, "-bf", "0", "-c:a", sound, "-strict", "-2")
    given = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=3")
    ffmpeg(*given, "-itsoffset", str(late), "-f", "lavfi", "-i", beep, *picture, tmp_path / source)
    copy(tmp_path / source, tmp_path / target, codec=codec)
    onsets = []
    for path in (tmp_path / source, tmp_path / target):
        heard, begin = loud(path)
        onsets.append(begin + np.argmax(np.abs(heard) > 0.3 * np.abs(heard).max()) / 8000)
    assert onsets[0] == pytest.approx(2 + late, abs=0.05)
    assert onsets[1] == pytest.approx(onsets[0], abs=0.06)


def test_pauses_between_subtitles_are_none_in_webm(tmp_path):
    lines = [(300, 600, "One"), (1200, 1500, "Two")]
    make_clip(tmp_path / "a.mkv", times=50, subtitles=lines)
    source = tmp_path / "a.mp4"
    ffmpeg("-i", tmp_path / "a.mkv", "-c", "copy", "-c:s", "mov_text", source)
    copy(source, tmp_path / "b.webm", codec="libvpx-vp9", options={"deadline": "realtime"})
    with av.open(str(tmp_path / "b.webm")) as found:
        sizes = [packet.size for packet in found.demux(subtitles=0) if packet.pts is not None]
    assert len(sizes) == 2
    assert min(sizes) > 0


def test_data_of_a_camera_stays_beside_chapters(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", times=50, chapters=RICH["chapters"])
    source = tmp_path / "camera.mp4"
    with av.open(str(clip)) as whole, av.open(str(source), "w") as out:
        out.set_chapters(whole.chapters())
        video = out.add_stream_from_template(whole.streams.video[0], opaque=True)
        data = out.add_mux_stream("bin_data")  # written as gpmd, a GoPro's
        data.time_base = Fraction(1, 1000)
        out.start_encoding()
        for second in range(2):
            packet = av.Packet(b"DEVC" + bytes(60))
            packet.time_base, packet.duration = Fraction(1, 1000), 1000
            packet.pts = packet.dts = second * 1000
            packet.stream = data
            out.mux(packet)
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = video
                out.mux(packet)
    assert copy(source, tmp_path / "b.mp4") == []
    assert packets(tmp_path / "b.mp4", "data") == packets(source, "data")
    assert b"gpmd" in (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "b.mp4")) as made:
        assert len(made.chapters()) == 2
        assert [stream.frames for stream in made.streams if stream.type == "data"] == [2, 2]  # and the titles
    assert copy(source, tmp_path / "b.mkv") == ["stream 1 (data) is left out: matroska cannot hold it"]


def test_styles_that_a_container_does_not_keep_are_named(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", **RICH)
    source = tmp_path / "styled.mkv"
    with av.open(str(clip)) as whole, av.open(str(source), "w") as out:
        video = out.add_stream_from_template(whole.streams.video[0], opaque=True)
        text = out.add_stream("ass")
        plain = whole.streams.subtitles[0]
        plain.codec_context.open(strict=False)
        text.codec_context.subtitle_header = plain.codec_context.subtitle_header
        for packet in whole.demux(whole.streams.video[0], plain):
            if packet.size and packet.stream is plain:
                written = text.codec_context.encode_subtitle(plain.decode2(packet))
                written.time_base, written.pts, written.dts = packet.time_base, packet.pts, packet.pts
                written.duration, written.stream = packet.duration, text
                out.mux(written)
            elif packet.size:
                packet.stream = video
                out.mux(packet)
    assert copy(source, tmp_path / "b.mp4") == [
        "stream 1 (subtitle ssa) is written as mov_text: its styles and positions are left out"
    ]
    assert copy(source, tmp_path / "b.mkv") == []


def test_sound_whose_first_packet_is_damaged_is_kept(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", times=50, audio="eac3")
    sound = packets(clip, "audio")

    def damaged(packet):
        if packet.stream.type != "audio" or packet.pts * packet.time_base != sound[0][0]:
            return packet
        zeros = av.Packet(bytes(packet.size))
        zeros.time_base, zeros.duration = packet.time_base, packet.duration
        zeros.pts, zeros.dts, zeros.is_keyframe = packet.pts, packet.dts, True
        return zeros

    assert copy(remuxed(clip, tmp_path / "damaged.mkv", damaged), tmp_path / "b.mp4") == []
    assert len(packets(tmp_path / "b.mp4", "audio")) >= len(sound) - 1


def test_slow_motion_keeps_the_sound_before_the_picture(tmp_path):
    source = tmp_path / "late.mkv"
    picture = ["-itsoffset", 3, "-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1"]
    sound = ["-f", "lavfi", "-i", "sine=r=44100:d=4"]
    ffmpeg(*picture, *sound, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", source)
    report = maskvfi.interpolate(source, tmp_path / "out.mkv", slow=2, vfi="blend", mask="off", device="cpu")
    assert report.warnings == []
    assert len(sound_of(tmp_path / "out.mkv")) == pytest.approx(8 * 44100, rel=0.01)
    with av.open(str(tmp_path / "out.mkv")) as made:
        first = next(made.decode(video=0))
        assert float(first.pts * first.time_base) == pytest.approx(6, abs=0.05)
