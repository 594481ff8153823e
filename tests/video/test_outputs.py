"""Outputs that a person can use: played elsewhere, whole, with nothing lost in silence."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import copy, make_clip
from PIL import Image

import maskvfi
from maskvfi.video import Frame, MediaError, VideoReader, open_sink, open_source
from maskvfi.video.planes import planes_to_rgb, to_tensors


def copied(source: Path, target: Path, **more: object) -> list[str]:
    """Read and write every frame with what `target` takes by default; returns the writer's warnings."""
    with open_source(source) as reader:
        more.setdefault("rate", reader.info.rate)
        with open_sink(target, reader.info, copy_from=source, **more) as sink:
            for frame in reader:
                sink.write(frame)
    return sink.warnings


def probed(path: Path, *names: str) -> list[str]:
    """What ffprobe says of the first stream."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"]
    entries = []
    for name in names:  # one at a time: ffprobe has an order of its own
        found = subprocess.run(
            [*command, "-show_entries", f"stream={name}", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        entries.append(found.stdout.strip().strip(","))
    return entries


def planes_of(path: Path) -> list[tuple[np.ndarray, ...]]:
    with open_source(path) as reader:
        return [frame.planes for frame in reader]


def pictures(folder: Path, count: int, shape: tuple[int, ...], dtype: type = np.uint8) -> Path:
    """A folder of smooth pictures; the fourth channel is a disc that moves."""
    folder.mkdir()
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    top = np.iinfo(dtype).max
    for n in range(count):
        channels = [(rows * 3 + columns * (c + 1) + 9 * n) % 256 / 255 for c in range(min(shape[2], 3))]
        if shape[2] == 4:
            channels.append(np.hypot(columns - 16 - 6 * n, rows - shape[0] / 2) < 12)
        picture = (np.dstack(channels) * top).astype(dtype)
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    return folder


@pytest.mark.parametrize(
    ("shape", "dtype", "suffix", "expected"),
    [
        ((48, 64, 3), np.uint8, ".mp4", ["h264", "High", "yuv420p"]),
        ((48, 64, 3), np.uint8, ".mov", ["h264", "High", "yuv420p"]),
        ((48, 64, 3), np.uint16, ".mp4", ["h264", "High", "yuv420p"]),
        ((48, 64, 1), np.uint8, ".mp4", ["h264", "High", "yuv420p"]),
        ((48, 64, 4), np.uint8, ".mp4", ["h264", "High", "yuv420p"]),
        ((47, 63, 3), np.uint8, ".mp4", ["h264", "High", "yuv420p"]),
        ((48, 64, 3), np.uint8, ".webm", ["vp9", "Profile 0", "yuv420p"]),
        ((47, 63, 4), np.uint8, ".webm", ["vp9", "Profile 0", "yuv420p"]),
    ],
)
def test_pictures_become_a_video_that_players_take(tmp_path, shape, dtype, suffix, expected):
    source = pictures(tmp_path / "in", 3, shape, dtype)
    warnings = copied(source, tmp_path / f"b{suffix}")
    assert probed(tmp_path / f"b{suffix}", "codec_name", "profile", "pix_fmt") == expected
    written = "yuva420p" if suffix == ".webm" and shape[2] == 4 else "yuv420p"
    assert any(f"written as {written}, which players take" in line for line in warnings)
    with open_source(tmp_path / f"b{suffix}") as reader:
        assert abs(reader.info.height - shape[0]) + abs(reader.info.width - shape[1]) <= 2
        assert reader.info.height >= shape[0]


def test_the_colours_of_pictures_stay_in_a_video(tmp_path):
    source = pictures(tmp_path / "in", 1, (47, 63, 3))
    copied(source, tmp_path / "b.mp4", options={"crf": "1"})
    subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            tmp_path / "b.mp4",
            "-vf",
            "format=rgb24,crop=63:47:0:0",
            tmp_path / "back.png",
        ],
        check=True,
    )
    sent, got = cv2.imread(str(source / "0.png")), cv2.imread(str(tmp_path / "back.png"))
    assert cv2.PSNR(cv2.GaussianBlur(sent, (0, 0), 2), cv2.GaussianBlur(got, (0, 0), 2)) > 30


@pytest.mark.parametrize("suffix", [".hevc", ".265"])
def test_eight_bits_in_hevc_by_their_suffix_are_no_surprise(tmp_path, suffix):
    warnings = copied(make_clip(tmp_path / "in.mp4", times=3), tmp_path / f"out{suffix}")
    assert not any("more than 8 bits" in line for line in warnings)


def test_ten_bits_become_hevc_for_phones_and_stay_what_they_are_elsewhere(tmp_path):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv420p10le", times=3)
    warnings = copied(source, tmp_path / "b.mp4")
    assert probed(tmp_path / "b.mp4", "codec_name", "pix_fmt", "codec_tag_string") == [
        "hevc",
        "yuv420p10le",
        "hvc1",
    ]
    assert any("libx265 (HEVC)" in line for line in warnings)
    copied(source, tmp_path / "b.mkv")
    assert probed(tmp_path / "b.mkv", "codec_name", "pix_fmt") == ["h264", "yuv420p10le"]
    copied(source, tmp_path / "c.mp4", pix_fmt="yuv420p")
    assert probed(tmp_path / "c.mp4", "codec_name", "pix_fmt") == ["h264", "yuv420p"]


def test_yuv_keeps_its_subsampling_and_who_cannot_play_it_is_told(tmp_path):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="yuv444p", times=3)
    warnings = copied(source, tmp_path / "b.mp4")
    assert probed(tmp_path / "b.mp4", "pix_fmt") == ["yuv444p"]
    assert warnings == ["many players do not take H.264 in yuv444p; all take it with pix_fmt yuv420p"]


def test_full_range_can_be_asked_for(tmp_path):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", times=1)
    copied(source, tmp_path / "b.mkv", pix_fmt="yuvj420p", options={"crf": "1"})
    with VideoReader(source) as a, VideoReader(tmp_path / "b.mkv") as b:
        assert (a.info.colour.full_range, b.info.colour.full_range) == (False, True)
        before, after = (
            planes_to_rgb(
                to_tensors(next(iter(reader)).planes, "cpu"), reader.info.format, reader.info.colour
            )
            for reader in (a, b)
        )
    assert float((before.clamp(0, 1) - after.clamp(0, 1)).square().mean()) < 1e-3


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_alpha_goes_into_webm_and_comes_out_of_it(tmp_path, codec):
    source = pictures(tmp_path / "in", 4, (48, 64, 4))
    first, again = tmp_path / "a.webm", tmp_path / "b.webm"
    copied(source, first, codec=codec)
    assert not [line for line in copied(first, again, codec=codec) if "alpha" in line]
    discs = [cv2.imread(str(source / f"{n}.png"), cv2.IMREAD_UNCHANGED)[..., 3] for n in range(4)]
    for path in (first, again):
        with VideoReader(path) as reader:
            assert reader.info.format.name == "yuva420p"
        for disc, planes in zip(discs, planes_of(path), strict=True):
            assert ((planes[3] > 127) == (disc > 127)).mean() > 0.97


def test_a_file_without_alpha_does_not_say_that_it_has_some(tmp_path):
    copied(pictures(tmp_path / "in", 2, (48, 64, 4)), tmp_path / "a.webm")
    warnings = copied(tmp_path / "a.webm", tmp_path / "b.webm", pix_fmt="yuv420p")
    assert "yuva420p is written as yuv420p, as asked: without alpha" in warnings
    with av.open(str(tmp_path / "b.webm")) as container:
        assert "alpha_mode" not in container.streams.video[0].metadata


def gif_of(path: Path, folder: Path, rate: str = "10") -> Path:
    filters = "split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-framerate",
        rate,
        "-i",
        folder / "%d.png",
        "-filter_complex",
        filters,
        path,
    ]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("channels", [3, 4])
def test_a_gif_keeps_its_colours_its_transparency_and_its_times(tmp_path, channels):
    source = gif_of(tmp_path / "a.gif", pictures(tmp_path / "in", 4, (48, 64, channels)))
    copied(source, tmp_path / "b.gif")
    for before, after in zip(planes_of(source), planes_of(tmp_path / "b.gif"), strict=True):
        shown = before[3] > 0
        assert np.array_equal(after[3], before[3])
        assert all(np.array_equal(a[shown], b[shown]) for a, b in zip(after, before, strict=True))
    with Image.open(source) as a, Image.open(tmp_path / "b.gif") as b:
        for n in range(4):
            a.seek(n)
            b.seek(n)
            assert b.info["duration"] == a.info["duration"] == 100
            assert b.info["loop"] == 0


def test_a_gif_that_browsers_slow_down_is_named(tmp_path):
    source = gif_of(tmp_path / "a.gif", pictures(tmp_path / "in", 6, (48, 64, 3)), rate="50")
    assert not [line for line in copied(source, tmp_path / "b.gif") if "slowly" in line]
    warnings = copied(source, tmp_path / "c.gif", rate=Fraction(100))
    assert "browsers show a GIF of more than 50 frames a second slowly" in warnings


def test_a_hole_in_a_gif_does_not_show_the_picture_before(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(4):
        picture = np.full((32, 40, 4), (0, 0, 200, 255), np.uint8)
        picture[10:20, 10:20, 3] = 255 * (n % 2 == 0)
        cv2.imwrite(str(tmp_path / "in" / f"{n}.png"), picture)
    copied(tmp_path / "in", tmp_path / "b.gif")
    assert [int(planes[3][15, 15]) for planes in planes_of(tmp_path / "b.gif")] == [255, 0, 255, 0]
    with Image.open(tmp_path / "b.gif") as shown:
        for n in range(4):
            shown.seek(n)
            assert shown.convert("RGBA").getpixel((15, 15))[3] == (0 if n % 2 else 255)


def test_many_colours_get_the_best_palette_of_each_picture(tmp_path):
    source = pictures(tmp_path / "in", 2, (96, 128, 3))
    assert copied(source, tmp_path / "b.gif") == [
        "gif has 256 colours a picture: each gets a palette of its own"
    ]
    for n, planes in enumerate(planes_of(tmp_path / "b.gif")):
        sent = cv2.imread(str(source / f"{n}.png"))
        got = np.dstack([planes[1], planes[0], planes[2]])
        assert len(np.unique(got.reshape(-1, 3), axis=0)) > 200
        assert cv2.PSNR(sent, got) > 25


@pytest.mark.parametrize(("suffix", "headers"), [(".gif", b"GIF89a"), (".apng", b"IHDR")])
def test_a_long_animation_is_one_animation(tmp_path, suffix, headers):
    """Of more frames than a segment of a journal has."""
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0", times=130, size=(16, 16))
    target = tmp_path / f"b{suffix}"
    with (
        open_source(source) as reader,
        open_sink(target, reader.info, rate=Fraction(25), facts={"a": 1}) as sink,
    ):
        for n, frame in enumerate(reader):
            sink.write(frame)
            sink.mark({"frames": n})
    assert target.read_bytes().count(headers) == 1
    with Image.open(target) as shown:
        assert shown.n_frames == 130
        assert shown.info["loop"] == 0
        for n in range(130):
            shown.seek(n)
            assert shown.info["duration"] == 40
    for before, after in zip(planes_of(source), planes_of(target), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=False))


@pytest.mark.parametrize("last", [0.02, 1, 70])
@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
def test_the_last_picture_of_an_animation_is_shown_as_long_as_in_the_source(tmp_path, suffix, last):
    pictures = [Image.effect_noise((48, 32), 90).convert("RGB") for _ in range(4)]
    durations = [40, 40, 40, round(1000 * last)]
    source, target = tmp_path / "a.gif", tmp_path / f"b{suffix}"
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=durations)
    maskvfi.interpolate(source, target, mask="off", vfi="blend", device="cpu")
    with Image.open(target) as shown:
        found = []
        for n in range(shown.n_frames):
            shown.seek(n)
            shown.load()
            found.append(shown.info["duration"])
    assert found == pytest.approx([20] * 6 + durations[-1:])


@pytest.mark.parametrize("to", [".gif", ".apng", ".webp"])
@pytest.mark.parametrize("source", [".gif", ".png"])
@pytest.mark.parametrize("plays", [1, 3, 0])
def test_an_animation_plays_as_often_as_its_source(tmp_path, source, to, plays):
    pictures = [Image.effect_noise((48, 32), 90).convert("RGB") for _ in range(3)]
    again = (
        {}
        if source == ".gif" and plays == 1
        else {"loop": plays - 1 if source == ".gif" and plays else plays}
    )
    pictures[0].save(tmp_path / f"a{source}", save_all=True, append_images=pictures[1:], duration=40, **again)
    maskvfi.interpolate(tmp_path / f"a{source}", tmp_path / f"b{to}", mask="off", vfi="blend", device="cpu")
    with Image.open(tmp_path / f"b{to}") as shown:
        found = shown.info.get("loop")
    assert found == (None if to == ".gif" and plays == 1 else plays - 1 if to == ".gif" and plays else plays)


def test_an_animated_png_is_called_png_as_its_source_is(tmp_path):
    source = pictures(tmp_path / "in", 3, (48, 64, 4))
    copied(source, tmp_path / "a.apng")
    (tmp_path / "a.apng").rename(tmp_path / "a.png")
    copied(tmp_path / "a.png", tmp_path / "b.png")
    for before, after in zip(planes_of(source), planes_of(tmp_path / "b.png"), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["out.m3u8", "out.mpd"])
def test_an_output_of_many_files_is_refused_before_the_work(tmp_path, name):
    source = make_clip(tmp_path / "a.mp4", times=3)
    with pytest.raises(MediaError, match=rf"{name}: \w+ needs many files, and only one is written"):
        copied(source, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_one_picture_is_no_target_for_a_video(tmp_path):
    source = make_clip(tmp_path / "a.mp4", times=3)
    for name in ("out.png", "out.jpg", "out.bmp"):
        with pytest.raises(MediaError, match=rf"{name}: is one picture, not a video; a folder"):
            copied(source, tmp_path / name)
    with pytest.raises(MediaError, match=r"out_%03d\.bmp: images are written as \.png, .*, not \.bmp"):
        copied(source, tmp_path / "out_%03d.bmp")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("name", ["100%done.mp4", "take_%03d.mp4", "a%d%s.mkv"])
def test_a_percent_sign_in_the_name_of_a_video_is_a_sign_like_others(tmp_path, name):
    source = make_clip(tmp_path / f"in {name}", times=3)
    copied(source, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"in {name}"])


def test_a_link_stays_a_link_and_its_file_gets_the_film(tmp_path):
    source = make_clip(tmp_path / "a.mp4", times=3)
    disk = tmp_path / "disk"
    disk.mkdir()
    for name in ("old.mp4", "new.mp4"):
        link = tmp_path / f"to_{name}"
        link.symlink_to(disk / name)
        if name == "old.mp4":
            (disk / name).write_text("old")
            with pytest.raises(MediaError, match="exists already"):
                copied(source, link)
        copied(source, link, overwrite=True, facts={"input": "x"})
        assert link.is_symlink()
        assert not (disk / name).is_symlink()
        assert len(planes_of(disk / name)) == 3
    assert sorted(p.name for p in disk.iterdir()) == ["new.mp4", "old.mp4"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "disk", "to_new.mp4", "to_old.mp4"]


@pytest.mark.parametrize(
    ("suffix", "sound", "kept"),
    [
        (".ts", "flac", {"video", "audio"}),
        (".ts", "pcm_s16le", {"video", "audio"}),
        (".ts", "aac", {"video", "audio"}),
        (".m2ts", "ac3", {"video", "audio"}),
        (".avi", "flac", {"video", "audio"}),
        (".mkv", "flac", {"video", "audio", "subtitle"}),
        (".mp4", "aac", {"video", "audio", "subtitle"}),
        (".m4v", "aac", {"video", "audio", "subtitle"}),
    ],
)
def test_what_a_container_does_not_give_back_is_left_out_by_name(tmp_path, suffix, sound, kept):
    source = make_clip(
        tmp_path / "a.mkv",
        times=25,
        audio=sound,
        subtitles=[(200, 500, "Hello")],
        chapters=[(0, 500, "One"), (500, 1000, "Two")],
        tags={"title": "My film", "mood": "fine"},
    )
    target = tmp_path / f"b{suffix}"
    warnings = copy(source, target)
    with av.open(str(target)) as container:
        found = {stream.type for stream in container.streams if stream.type != "data"}
        chapters, tags = len(container.chapters()), {key.lower() for key in container.metadata}
    assert found == kept
    left_out = {line.split("(")[1].split()[0] for line in warnings if "is left out" in line}
    assert left_out == {"audio", "subtitle"} - kept
    assert any("keeps no chapters" in line for line in warnings) == (chapters == 0)
    named = next((line for line in warnings if "does not keep the tags" in line), "").lower()
    assert all((tag in named) == (tag not in tags) for tag in ("title", "mood"))


def test_a_frame_that_was_computed_is_padded_like_a_decoded_one(tmp_path):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", size=(63, 47), times=3)
    with VideoReader(source) as reader, open_sink(tmp_path / "b.mp4", reader.info, rate=Fraction(25)) as sink:
        for frame in reader:
            sink.write(Frame(frame.planes, frame.format, frame.pts, frame.duration))
    assert probed(tmp_path / "b.mp4", "width", "height") == ["64", "48"]


@pytest.mark.parametrize(
    "suffix", [".webp", ".avif", ".ogv", ".apng", ".gif", ".wmv", ".flv", ".3gp", ".mpg", ".mxf"]
)
def test_every_suffix_has_an_encoder_that_its_container_holds(tmp_path, suffix):
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", times=5, size=(352, 288))
    target = tmp_path / f"b{suffix}"
    with open_source(source) as reader, open_sink(target, reader.info, rate=Fraction(25)) as sink:
        for frame in reader:
            sink.write(frame)
    if suffix == ".webp":  # FFmpeg reads no animated WebP
        with Image.open(target) as shown:
            assert shown.n_frames == 5
            assert shown.info["loop"] == 0  # for ever
        return
    with av.open(str(target)) as container:  # an AVIF has a still picture beside the sequence
        sequence = max(container.streams.video, key=lambda stream: stream.frames)
        assert sum(len(packet.decode()) for packet in container.demux(sequence)) == 5


@pytest.mark.parametrize("suffix", [".avi", ".mxf"])
def test_frames_are_shown_in_their_order(tmp_path, suffix):
    """These containers do not say when B frames are shown, which x264 makes."""
    copy(make_clip(tmp_path / "a.mkv", times=20), tmp_path / f"a{suffix}", options={"crf": "18"})
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert [time - times[0] for time in times] == pytest.approx([n / 25 for n in range(20)])


def test_uneven_times_in_mxf_are_named(tmp_path):
    (line,) = copy(make_clip(tmp_path / "b.mkv", times=[0, 1, 5, 6, 9]), tmp_path / "b.mxf")
    assert "off the constant rate that the file keeps" in line


@pytest.mark.parametrize("suffix", [".mpg", ".vob", ".ogv", ".h264"])
def test_containers_that_count_frames_have_the_rate_and_the_length(tmp_path, suffix):
    make_clip(tmp_path / "in.mkv", times=20, size=(64, 48))
    target = tmp_path / f"out{suffix}"
    report = maskvfi.interpolate(tmp_path / "in.mkv", target, vfi="blend", mask="off", device="cpu")
    with av.open(str(tmp_path / "in.mkv")) as source:
        rate = 2 * source.streams.video[0].average_rate
    asked = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "stream=r_frame_rate",
        "-of",
        "csv=p=0",
    ]
    said = subprocess.run([*asked, str(target)], capture_output=True, text=True, check=True).stdout
    assert Fraction(said.split()[0].strip(",")) == rate
    assert report.frames_out == 39
    with open_source(target) as made:
        times = [frame.pts for frame in made]
    assert len(times) == 39
    assert float(times[-1] - times[0]) == pytest.approx(38 / float(rate), abs=0.6 / float(rate))


@pytest.mark.parametrize("suffix", [".avi", ".y4m", ".mpg"])
def test_a_rate_of_many_digits_is_written(tmp_path, suffix):
    source = make_clip(tmp_path / "in.mkv", times=6)
    target = tmp_path / f"out{suffix}"
    maskvfi.interpolate(source, target, fps=100 / 3, vfi="blend", mask="off", device="cpu")
    with av.open(str(target)) as made:
        assert float(made.streams.video[0].average_rate) == pytest.approx(100 / 3, rel=0.01)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".ogv", None),
        (".webp", None),
        (".webm", None),
        (".avi", "mpeg4"),
        (".mkv", "mpeg2video"),
        (".flv", "flv"),
    ],
)
def test_no_default_loses_visibly(tmp_path, suffix, codec):
    rng = np.random.default_rng(1)
    soft = cv2.GaussianBlur(rng.integers(0, 256, (240, 320), np.uint8), (0, 0), 2)
    soft = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX)
    folder, target = tmp_path / "in", tmp_path / f"a{suffix}"
    folder.mkdir()
    shown = [cv2.merge([np.roll(soft, 5 * n, axis=1)] * 3) for n in range(4)]
    for n, picture in enumerate(shown):
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    maskvfi.interpolate(folder, target, mask="off", vfi="blend", device="cpu", codec=codec, rate=25)
    with open_source(target) as reader:
        made = list(reader)[::2]
    for source, frame in zip(shown, made, strict=True):
        rgb = planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, reader.info.colour)
        assert cv2.PSNR(source[..., 0].astype(np.float32), 255 * rgb[0, 1].numpy(), 255) > 40
