"""A file in, a file out: frame counts, times, streams, untouched source frames, and errors of one line."""

import gc
import itertools
import json
import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from clips import LOSSLESS, make_clip

import maskvfi
from maskvfi.errors import MediaError, OptionError, WeightsError
from maskvfi.runtimes import RUNTIMES
from maskvfi.video import Frame, SourceInfo, open_source
from maskvfi.video.images import write_picture
from maskvfi.video.pixel_format import Colour, PixelFormat

CPU = {"device": "cpu", "runtime": "torch"}


def read(path: Path) -> list[Frame]:
    with open_source(path) as reader:
        return list(reader)


def same_planes(a: Frame, b: Frame) -> bool:
    return a.format == b.format and all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


def audio_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray", "bgr0", "gbrp10le", "yuva420p"])
def test_source_frames_pass_through_bit_by_bit_in_their_own_format(tmp_path, pix_fmt):
    tags = (1, 1, 1, 1) if "yuv" in pix_fmt else (0, 2, 2, 2)
    source = make_clip(tmp_path / "in.mkv", times=4, codec="ffv1", options={}, pix_fmt=pix_fmt, colour=tags)
    report = maskvfi.interpolate(source, tmp_path / "out.mkv", factor=3, codec="ffv1", scene_cut="off", **CPU)
    before, after = read(source), read(tmp_path / "out.mkv")
    assert (report.frames_in, report.frames_out) == (4, 10)
    assert len(after) == 10
    assert all(same_planes(a, b) for a, b in zip(before, after[::3], strict=True))


def test_variable_timing_stays_variable_and_sound_stays_as_it_is(tmp_path):
    source = make_clip(
        tmp_path / "in.mp4", times=[0, 100, 250, 300, 520], time_base=Fraction(1, 1000), audio="aac"
    )
    maskvfi.interpolate(
        source, tmp_path / "out.mp4", encoder_options=LOSSLESS["libx264"], scene_cut="off", **CPU
    )
    after = [frame.pts * 1000 for frame in read(tmp_path / "out.mp4")]
    assert after == [0, 50, 100, 175, 250, 275, 300, 410, 520]
    assert audio_packets(tmp_path / "out.mp4") == audio_packets(source)


def test_a_frame_rate_makes_an_even_grid_of_the_same_length(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=24, time_base=Fraction(1001, 24000))
    report = maskvfi.interpolate(source, tmp_path / "out.mp4", fps="59.94", scene_cut="off", **CPU)
    frames = read(tmp_path / "out.mp4")
    assert report.frames_out == len(frames) == 60
    assert [frame.pts for frame in frames] == [n * Fraction(1001, 60000) for n in range(60)]
    assert frames[-1].pts + frames[-1].duration == 24 * Fraction(1001, 24000)


@pytest.mark.parametrize("asked", [{"fps": 10}, {"fps": 10, "loop": True}, {"fps": 60, "loop": True}])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_output_is_as_long_as_its_source(tmp_path, asked, suffix):
    source = make_clip(tmp_path / "in.mp4", times=27)
    target = tmp_path / f"out{suffix}"
    maskvfi.interpolate(source, target, vfi="blend", scene_cut="off", **asked, **CPU)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert after.duration == pytest.approx(before.duration, abs=1000)  # microseconds
    last = read(target)[-1]
    assert last.pts + last.duration == pytest.approx(Fraction(27, 25), abs=1e-3)


def test_a_cut_is_held_or_blended_but_never_morphed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(12):
        picture = np.full((32, 48, 3), (20, 40, 30) if n < 6 else (220, 200, 240), np.uint8)
        cv2.imwrite(str(folder / f"{n}.png"), picture)
    for on_cut, expected in (("hold", 30), ("blend", 135)):
        report = maskvfi.interpolate(folder, tmp_path / on_cut, on_cut=on_cut, **CPU)
        pictures = sorted((tmp_path / on_cut).iterdir())
        assert report.cuts == 1
        assert len(pictures) == 23
        assert np.unique(cv2.imread(str(pictures[11]))[..., 2]).tolist() == [expected]


def test_still_pixels_are_exact_in_the_planes_of_the_source(tmp_path):
    """Equal pixels under a painted mask come out equal, at any depth, however chroma is sampled."""
    cv2.imwrite(str(tmp_path / "all.png"), np.full((48, 64), 255, np.uint8))
    for pix_fmt in ("yuv420p", "yuv422p10le"):
        source = make_clip(tmp_path / f"{pix_fmt}.mkv", times=2, codec="ffv1", options={}, pix_fmt=pix_fmt)
        target = tmp_path / f"{pix_fmt}-out.mkv"
        maskvfi.interpolate(
            source, target, codec="ffv1", scene_cut="off", protect=tmp_path / "all.png", **CPU
        )
        first, middle, last = read(target)
        for a, m, b in zip(first.planes, middle.planes, last.planes, strict=True):
            mean = (a.astype(int) + b.astype(int)) / 2
            assert np.abs(m - mean).max() <= 0.5
            assert np.array_equal(m[a == b], a[a == b])


def test_a_caller_can_watch_the_frames(tmp_path):
    source = make_clip(tmp_path / "in.mkv", times=3, codec="ffv1", options={})
    seen: list[Frame] = []
    sizes = set()

    def watch(frame, info):
        seen.append(frame)
        sizes.add((info.width, info.height))

    maskvfi.interpolate(source, tmp_path / "out.mkv", watch=watch, codec="ffv1", scene_cut="off", **CPU)
    assert sizes == {(64, 48)}
    assert all(same_planes(a, b) for a, b in zip(seen, read(tmp_path / "out.mkv"), strict=True))


def test_loop_and_slow_motion(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=5, audio="aac")
    looped = maskvfi.interpolate(source, tmp_path / "loop.mp4", loop=True, scene_cut="off", **CPU)
    slowed = maskvfi.interpolate(source, tmp_path / "slow.mp4", slow=3, scene_cut="off", **CPU)
    assert looped.frames_out == 10
    frames = read(tmp_path / "slow.mp4")
    assert slowed.frames_out == len(frames) == 13
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames)} == {Fraction(1, 25)}


def test_slow_motion_stretches_the_sound_with_the_picture(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=50, audio="aac")
    maskvfi.interpolate(source, tmp_path / "slow.mp4", slow=2, mask=None, scene_cut="off", **CPU)
    with av.open(str(tmp_path / "slow.mp4")) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 48000 == pytest.approx(4, abs=0.1)


def test_a_window_of_the_video(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=25)
    report = maskvfi.interpolate(source, tmp_path / "out.mp4", start=0.2, end=0.4, scene_cut="off", **CPU)
    assert (report.frames_in, report.frames_out) == (5, 9)
    assert read(tmp_path / "out.mp4")[0].pts == 0


def test_a_video_becomes_images_and_images_become_a_video(tmp_path):
    source = make_clip(
        tmp_path / "in.mkv", times=3, codec="ffv1", options={}, pix_fmt="bgr0", colour=(0, 2, 2, 2)
    )
    maskvfi.interpolate(source, tmp_path / "images", scene_cut="off", **CPU)
    assert len(list((tmp_path / "images").iterdir())) == 5
    report = maskvfi.interpolate(
        tmp_path / "images", tmp_path / "out.mkv", rate=50, codec="ffv1", scene_cut="off", **CPU
    )
    assert report.frames_out == 9
    first = read(tmp_path / "out.mkv")[0]
    assert same_planes(first, read(source)[0])


def write_exr(folder: Path, pictures: list[np.ndarray]) -> Path:
    """A folder of float pictures, each [3,H,W] in the order of the planes: green, blue, red."""
    folder.mkdir()
    height, width = pictures[0].shape[1:]
    fmt, colour = PixelFormat.parse("gbrpf32le"), Colour("bt709", True)
    info = SourceInfo("", width, height, fmt, colour, rate=Fraction(24), time_base=Fraction(1, 24))
    for number, planes in enumerate(pictures):
        write_picture(
            folder / f"{number}.exr", Frame(tuple(planes), fmt, Fraction(number), Fraction(1)), info
        )
    return folder


@pytest.mark.parametrize("mask", [None, "static-s"])
def test_what_is_brighter_than_white_is_warped_and_copied_as_it_is(tmp_path, mask):
    """A texture of 4 to 20 times white, and of less than black, moves by 4 px above one that stands still."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(
        rng.uniform(4, 20, (12, 20)).astype(np.float32), (160, 96), interpolation=cv2.INTER_CUBIC
    )
    smooth[:, :40] -= 24
    pictures = []
    for shift in (0, 8):
        moved = smooth.copy()
        moved[:48] = np.roll(smooth, shift, axis=1)[:48]
        pictures.append(np.stack([moved] * 3))
    source = write_exr(tmp_path / "exr", pictures)
    maskvfi.interpolate(source, tmp_path / "out", mask=mask, scene_cut="off", **CPU)
    made = np.stack(read(tmp_path / "out")[1].planes)[0]
    truth = np.roll(smooth, 4, axis=1)
    inner = np.s_[8:40, 70:150]
    assert np.abs(made[inner] - truth[inner]).mean() < 0.5 * np.abs(pictures[0][0] - truth)[inner].mean()
    assert made[:48].min() < -3
    assert np.abs(made[64:] - smooth[64:]).mean() < (0.02 if mask else 0.5)


def test_a_cross_fade_is_one_also_of_what_is_brighter_than_white(tmp_path):
    pictures = [np.full((3, 16, 24), value, np.float32) for value in (8.0, 2.0)]
    source = write_exr(tmp_path / "exr", pictures)
    maskvfi.interpolate(source, tmp_path / "out", vfi="blend", mask=None, scene_cut="off", **CPU)
    assert np.abs(read(tmp_path / "out")[1].planes[0] - 5).max() < 1e-5


def test_what_is_no_number_in_an_exr_stays_in_its_frame(tmp_path):
    pictures = list(np.random.default_rng(0).random((3, 3, 48, 64), np.float32))
    pictures[1][:, 20, 30] = np.nan, np.inf, -np.inf
    source = write_exr(tmp_path / "exr", pictures)
    report = maskvfi.interpolate(source, tmp_path / "out", vfi="blend", scene_cut="off", **CPU)
    first, early, middle, late, last = [np.stack(frame.planes) for frame in read(tmp_path / "out")]
    for made, given in zip((first, middle, last), pictures, strict=True):
        np.testing.assert_array_equal(made, given)
    assert np.isfinite(early).all()
    assert np.isfinite(late).all()
    assert [line for line in report.warnings if "numbers" in line] == [
        f"{source}: 1 pixels are not finite numbers: replaced in new frames"
    ]


def test_the_report_says_what_was_done(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=4)
    report = maskvfi.interpolate(source, tmp_path / "out.mp4", report=tmp_path / "r.json", **CPU)
    written = json.loads((tmp_path / "r.json").read_text())
    assert written == report.to_dict()
    assert written["frames_in"] == 4
    assert 0 <= written["static_share"] <= 1
    assert written["peak_memory_bytes"] > 1e6
    assert {"read", "mask", "network", "fuse", "write", "total"} <= set(written["seconds"])
    assert [(w["name"], len(w["sha256"])) for w in written["weights"]] == [("vfi-m", 64), ("static-s", 64)]
    assert (written["device"], written["precision"]) == ("cpu", maskvfi.Interpolator(device="cpu").precision)
    assert written["runtime"] in RUNTIMES


@pytest.fixture
def threads() -> Iterator[None]:
    """torch's number of threads is put back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_equal_runs_make_equal_frames(tmp_path, runtime):
    """On a CPU: bit by bit with equal threads; another number of them adds in another order."""
    if runtime == "openvino":
        pytest.importorskip("openvino")
    source = make_clip(tmp_path / "in.mkv", times=4, codec="ffv1", options={}, size=(160, 96))
    made = []
    for number in (1, 2, 2):
        torch.set_num_threads(number)
        target = tmp_path / f"{len(made)}.mkv"
        maskvfi.interpolate(
            source,
            target,
            vfi="vfi-s",
            factor=3,
            codec="ffv1",
            scene_cut="off",
            device="cpu",
            runtime=runtime,
        )
        made.append(read(target))
    alone, *together = made
    assert all(same_planes(a, b) for a, b in zip(*together, strict=True))
    for a, b in zip(alone, together[0], strict=True):
        assert all(np.abs(p.astype(int) - q).max() <= 1 for p, q in zip(a.planes, b.planes, strict=True))


def test_a_still_clip_runs_no_network(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(3):
        cv2.imwrite(str(folder / f"{n}.png"), np.full((32, 32, 3), 77, np.uint8))
    report = maskvfi.interpolate(folder, tmp_path / "out.mp4", **CPU)
    assert (report.static_share, report.computed_share, report.duplicates) == (1.0, 0.0, 2)


def test_what_exists_is_not_overwritten_unasked(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(MediaError, match="exists"):
        maskvfi.interpolate(source, target, **CPU)
    assert target.read_bytes() == b"precious"
    maskvfi.interpolate(source, target, overwrite=True, **CPU)
    assert len(read(target)) == 5


@pytest.mark.parametrize("name", ["out.y4m", "out.mkv"])
def test_of_two_runs_that_make_one_file_the_second_does_not_replace_it(tmp_path, name):
    source = make_clip(tmp_path / "in.mp4", times=4)
    target = tmp_path / name

    def another(done: int, total: int | None) -> None:
        if done == 2 and not target.exists():
            maskvfi.interpolate(source, tmp_path / f"first_{name}", vfi="blend", **CPU)
            (tmp_path / f"first_{name}").rename(target)

    with pytest.raises(MediaError, match=r"exists by now.*; the whole result is kept as (.*)") as refused:
        maskvfi.interpolate(source, target, vfi="blend", progress=another, factor=3, **CPU)
    assert len(read(target)) == 7
    kept = re.search(r"kept as ([^ ]+)", str(refused.value))[1]
    assert len(read(Path(kept))) == 10


def test_the_source_is_never_its_own_target(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    before = source.read_bytes()
    with pytest.raises(MediaError, match="input"):
        maskvfi.interpolate(source, source, overwrite=True, **CPU)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"vfi": "vfi-xxl"}, WeightsError, "unknown weights 'vfi-xxl'"),
        ({"mask": "nowhere.safetensors"}, WeightsError, "no such weights file"),
        ({"device": "cuda:99"}, ValueError, "not available"),
        ({"device": "meta"}, ValueError, "not available"),
        ({"codec": "libdream"}, OptionError, "libdream"),
        ({"factor": 0}, ValueError, "factor must be"),
        ({"factor": 2, "fps": 60}, ValueError, "not both"),
        ({"fps": "soon"}, ValueError, "frame rate must be"),
        ({"slow": -1}, ValueError, "slow must be positive"),
        ({"start": 99}, MediaError, "no frames"),
        ({"duplicates": "maybe"}, ValueError, "duplicates must be"),
        ({"on_cut": "faint"}, ValueError, "on_cut must be"),
        ({"protect": "missing.png"}, MediaError, r"missing\.png: cannot be read"),
    ],
)
def test_a_bad_option_leaves_nothing_behind(tmp_path, options, error, why):
    source = make_clip(tmp_path / "in.mp4", times=3)
    with pytest.raises(error, match=why) as caught:
        maskvfi.interpolate(source, tmp_path / "out.mp4", **(CPU | options))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_real_clips_keep_their_frames_and_times(tmp_path, dev_clips):
    """Two short windows of real footage: variable rate, and 10-bit HDR with sound."""
    for name, length in (("orig_traffic_vfr.mp4", 0.35), ("orig_tracks_hdr10_vfr_aac.mp4", 0.12)):
        source, target = dev_clips / name, tmp_path / f"{name}.mkv"
        maskvfi.interpolate(source, target, end=length, codec="ffv1", vfi="blend", mask=None, device="cpu")
        with open_source(source, end=Fraction(str(length))) as reader:
            before = list(reader)
        after = read(target)
        assert len(after) == 2 * len(before) - 1
        assert all(same_planes(a, b) for a, b in zip(before, after[::2], strict=True))
        start = before[0].pts
        assert all(
            abs(a.pts - start - b.pts) <= Fraction(1, 1000) for a, b in zip(before, after[::2], strict=True)
        )


@pytest.mark.parametrize(
    "asked", [{"fps": "1e99"}, {"fps": "1e-20"}, {"slow": "1e99"}, {"slow": "1e-99"}, {"factor": 1001}]
)
def test_numbers_of_frames_that_are_not_for_video_are_refused(tmp_path, asked):
    clip = make_clip(tmp_path / "in.mkv", times=4, codec="ffv1", options={}, size=(32, 32))
    with pytest.raises(ValueError, match="more than 1000 frames for each"):
        maskvfi.interpolate(clip, tmp_path / "out.mkv", vfi="blend", mask="off", **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_torch_device_is_a_device(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    asked = {"device": torch.device("cpu"), "vfi": "blend", "report": tmp_path / "report.json"}
    maskvfi.interpolate(source, tmp_path / "out.mp4", **asked)
    assert json.loads((tmp_path / "report.json").read_text())["device"] == "cpu"


def test_a_report_that_cannot_be_written_is_refused_at_the_start(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.json").symlink_to("in.mp4")
    target, none = tmp_path / "out.mp4", tmp_path / "none" / "r.json"
    for report, why in ((none, "there is no folder"), (tmp_path / "folder", "is a folder")):
        with pytest.raises(MediaError, match=why):
            maskvfi.interpolate(source, target, report=report, vfi="blend", mask="off", **CPU)
    beside = tmp_path / "folder" / ".." / "out.mp4"  # the target by another name
    for report in (source, target, tmp_path / "link.json", beside):
        with pytest.raises(MediaError, match="cannot be both the report and a file of the run"):
            maskvfi.interpolate(source, target, report=report, vfi="blend", mask="off", **CPU)
    assert not target.exists()
    assert len(read(source)) == 3


def test_a_report_spares_a_target_without_a_name_and_painted_masks(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    painted = tmp_path / "m.png"
    cv2.imwrite(str(painted), np.zeros((48, 64), np.uint8))
    before = painted.read_bytes()
    for report, more in ((tmp_path / "in_2x.mp4", {}), (painted, {"protect": painted})):
        with pytest.raises(MediaError, match="cannot be both the report and a file of the run"):
            maskvfi.interpolate(source, report=report, vfi="blend", mask="off", **more, **CPU)
    assert painted.read_bytes() == before
    assert not (tmp_path / "in_2x.mp4").exists()


def test_a_report_is_written_through_a_link(tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=3)
    (tmp_path / "disk").mkdir()
    (tmp_path / "r.json").symlink_to("disk/r.json")
    maskvfi.interpolate(
        source, tmp_path / "out.mp4", report=tmp_path / "r.json", vfi="blend", mask="off", **CPU
    )
    assert (tmp_path / "r.json").is_symlink()
    assert json.loads((tmp_path / "disk" / "r.json").read_text())["frames_out"] == 5


def test_a_pixel_format_is_an_option_of_every_call(tmp_path):
    source = make_clip(tmp_path / "in.mkv", codec="ffv1", pix_fmt="bgr0", times=3)
    fast = {"vfi": "blend", "mask": "off", **CPU}
    report = maskvfi.interpolate(source, tmp_path / "out.mp4", **fast)
    assert report.warnings == [
        "gbrp is written as yuv420p, which players take: converted to YUV, with less chroma; pix_fmt chooses another"
    ]
    maskvfi.interpolate(source, tmp_path / "own.mp4", pix_fmt="yuv444p", **fast)
    for name, expected in (("out.mp4", "yuv420p"), ("own.mp4", "yuv444p")):
        with open_source(tmp_path / name) as reader:
            assert reader.info.format.name == expected
    with pytest.raises(OptionError, match="pix_fmt 'gbrp99' is not one that libx264 takes"):
        maskvfi.interpolate(source, tmp_path / "none.mp4", pix_fmt="gbrp99", **fast)
    assert not (tmp_path / "none.mp4").exists()


def test_sound_with_lost_packets_is_kept_but_for_these(tmp_path):
    """As a recording with poor reception: one in five of the sound's transport packets is missing."""
    whole = make_clip(tmp_path / "whole.ts", times=75, audio="aac").read_bytes()
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    sound = [number for number, packet in enumerate(packets) if packet[1] & 0x1F == 1 and packet[2] == 1]
    lost = set(sound[5::5])
    assert lost
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(packet for number, packet in enumerate(packets) if number not in lost))
    report = maskvfi.interpolate(source, tmp_path / "out.mp4", vfi="blend", mask="off", **CPU)
    assert report.frames_out == 149
    assert any("audio aac) is damaged: parts are left out" in line for line in report.warnings)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc to count in")
def test_runs_leave_no_thread_and_no_open_file_to_the_collector_of_garbage(tmp_path):
    def held() -> tuple[int, int]:
        return tuple(len([*Path("/proc/self", each).iterdir()]) for each in ("task", "fd"))

    clip = make_clip(tmp_path / "a.mp4", times=4)
    options = {"vfi": "blend", "mask": None, "device": "cpu", "overwrite": True}
    maskvfi.interpolate(clip, tmp_path / "out.mkv", **options)
    gc.collect()
    gc.disable()
    try:
        before = held()
        for _ in range(4):
            maskvfi.interpolate(clip, tmp_path / "out.mkv", **options)
            with pytest.raises(OptionError):
                maskvfi.interpolate(clip, tmp_path / "out.mkv", codec="none", **options)
        until = time.monotonic() + 10  # a thread that was joined is gone a little later
        while held() != before and time.monotonic() < until:
            time.sleep(0.1)
        assert held() == before
    finally:
        gc.enable()


def test_a_report_replaces_a_report_and_nothing_else(tmp_path):
    source, report, fast = make_clip(tmp_path / "in.mp4", times=3), tmp_path / "r.json", {"vfi": "blend"}
    for text in ("precious", "[1]", '{"mine": 1}'):
        report.write_text(text)
        with pytest.raises(MediaError, match=r"r\.json: exists and is no report"):
            maskvfi.interpolate(source, tmp_path / "a.mp4", report=report, **fast, **CPU)
        assert report.read_text() == text
    report.unlink()
    for name in ("a.mp4", "b.mp4"):
        maskvfi.interpolate(source, tmp_path / name, report=report, **fast, **CPU)
        assert json.loads(report.read_text())["output"].endswith(name)
