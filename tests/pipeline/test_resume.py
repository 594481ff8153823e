"""Whatever stops a run, another one goes on with it, to the same frames; and never is there a file that looks whole."""

import os
import signal
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import make_clip
from commands import run

import maskvfi
from maskvfi.errors import MediaError
from maskvfi.pipeline.fingerprint import fingerprint
from maskvfi.pipeline.reading import gaps_of
from maskvfi.pipeline.report import Report
from maskvfi.timing.timeline import choose_timeline
from maskvfi.video import muxer, open_source

FAST = {"vfi": "blend", "device": "cpu", "scene_cut": "off"}
# x264's macroblock tree gives other bytes at some frame sizes each time it is asked, also outside this program.
ALIKE = {"libx264": {"mbtree": "0"}}
# x265, given equal pictures with equal times, gives other bytes in one run of ten, whatever its options.
NEVER_ALIKE = ("libx265",)


def packets(path: Path) -> list[tuple[int, int | None, int | None, bytes]]:
    """Of all streams, in the order of the file."""
    with av.open(str(path)) as container:
        return [(p.stream.index, p.pts, p.dts, bytes(p)) for p in container.demux() if p.size]


def times(path: Path) -> list[tuple[int, int]]:
    return sorted((stream, pts or 0) for stream, pts, _, _ in packets(path))


def unfinished(target: Path) -> Path:
    return target.with_name(f".{target.name}.unfinished")


def segments(target: Path) -> list[Path]:
    return sorted(unfinished(target).glob("[0-9]*.json"))


def stop_at(frame: int, error: type[BaseException] = KeyboardInterrupt):
    def progress(done: int, total: int | None) -> None:
        if done == frame:
            raise error

    return progress


@pytest.fixture
def short(monkeypatch) -> None:
    """Segments of few frames, so that small clips have some."""
    monkeypatch.setattr(muxer, "SEGMENT", 8)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "in.mp4", times=24, audio="aac", size=(96, 64))


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "libx264"),
        (".mkv", "libx265"),
        (".mkv", "ffv1"),
        (".webm", "libvpx-vp9"),
        (".avi", "mpeg4"),
        (".ts", "libx264"),
        (".mov", "prores_ks"),
        (".gif", "gif"),
    ],
)
def test_a_resumed_run_writes_what_an_unbroken_one_writes(source, tmp_path, short, suffix, codec):
    whole, broken = tmp_path / f"whole{suffix}", tmp_path / f"broken{suffix}"
    options = {"codec": codec, "encoder_options": ALIKE.get(codec, {}), **FAST}
    maskvfi.interpolate(source, whole, **options)
    with pytest.raises(KeyboardInterrupt, match="frames are kept, resume goes on there"):
        maskvfi.interpolate(source, broken, progress=stop_at(20), **options)
    assert not broken.exists()
    assert len(segments(broken)) >= 2
    report = maskvfi.interpolate(source, broken, resume=True, **options)
    assert report.resumed_at > 0
    assert report.frames_out == 47
    if codec in NEVER_ALIKE:
        assert times(broken) == times(whole)
    else:
        assert packets(broken) == packets(whole)
    assert not unfinished(broken).exists()


def test_every_segment_is_encoded_at_one_bit_rate(tmp_path, short):
    source = make_clip(tmp_path / "in.mkv", times=40, codec="ffv1", options={}, size=(160, 96))
    maskvfi.interpolate(source, tmp_path / "out.avi", codec="mpeg4", mask=None, **FAST)
    sizes = [len(data) for stream, _, _, data in packets(tmp_path / "out.avi") if stream == 0]
    assert sum(sizes[:8]) == pytest.approx(sum(sizes[8:16]), rel=0.1)


def test_the_report_of_a_resumed_run_counts_all_frames(source, tmp_path, short):
    options = {"codec": "ffv1", "vfi": "blend", "device": "cpu"}
    whole = maskvfi.interpolate(source, tmp_path / "whole.mkv", **options)
    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(source, tmp_path / "out.mkv", progress=stop_at(18), **options)
    again = maskvfi.interpolate(source, tmp_path / "out.mkv", resume=True, **options)
    for name in ("frames_in", "frames_out", "cuts", "static_share", "computed_share"):
        assert getattr(again, name) == pytest.approx(getattr(whole, name))


def test_a_damaged_segment_is_made_again(source, tmp_path, short):
    options = {"codec": "ffv1", **FAST}
    maskvfi.interpolate(source, tmp_path / "whole.mkv", **options)
    broken = tmp_path / "broken.mkv"
    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(source, broken, progress=stop_at(22), **options)
    _, second, *_ = segments(broken)
    data = bytearray(second.with_suffix(".packets").read_bytes())
    data[len(data) // 2] ^= 255
    second.with_suffix(".packets").write_bytes(data)
    report = maskvfi.interpolate(source, broken, resume=True, **options)
    assert 0 < report.resumed_at < 16
    assert packets(broken) == packets(tmp_path / "whole.mkv")


def test_another_input_or_option_is_refused_and_nothing_is_lost(source, tmp_path, short):
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(source, target, progress=stop_at(20), **FAST)
    kept = segments(target)
    other = make_clip(tmp_path / "other.mp4", times=25, size=(96, 64))
    with pytest.raises(MediaError, match="cannot be resumed, input was"):
        maskvfi.interpolate(other, target, resume=True, **FAST)
    with pytest.raises(MediaError, match=r"cannot be resumed, options: threshold was 0\.7 and is 0\.8"):
        maskvfi.interpolate(source, target, resume=True, threshold=0.8, **FAST)
    with pytest.raises(MediaError, match=r"an earlier run stopped after \d+ frames of it"):
        maskvfi.interpolate(source, target, **FAST)
    assert segments(target) == kept
    report = maskvfi.interpolate(source, target, overwrite=True, **FAST)
    assert (report.resumed_at, report.frames_out) == (0, 47)


def test_another_address_is_another_input(source, tmp_path, short):
    """An address is not read to find out what lies there."""
    other = make_clip(tmp_path / "other.mp4", times=24, size=(96, 64))
    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(f"file://{source}", tmp_path / "out.mp4", progress=stop_at(20), **FAST)
    with pytest.raises(MediaError, match="cannot be resumed, input was"):
        maskvfi.interpolate(f"file://{other}", tmp_path / "out.mp4", resume=True, **FAST)
    assert maskvfi.interpolate(f"file://{source}", tmp_path / "out.mp4", resume=True, **FAST).resumed_at > 0


def test_what_takes_the_name_of_the_output_meanwhile_costs_no_frames(source, tmp_path, short):
    target, options = tmp_path / "out.mkv", {"codec": "ffv1", **FAST}

    def in_the_way(done: int, total: int | None) -> None:
        if done == 20:
            target.mkdir()

    with pytest.raises(MediaError, match=r"out\.mkv: exists by now, and overwrite is not set"):
        maskvfi.interpolate(source, target, progress=in_the_way, **options)
    assert not (unfinished(target) / "whole.mkv").exists()
    target.rmdir()
    assert maskvfi.interpolate(source, target, resume=True, **options).resumed_at > 0
    maskvfi.interpolate(source, tmp_path / "whole.mkv", **options)
    assert packets(target) == packets(tmp_path / "whole.mkv")


def test_two_runs_do_not_make_one_file(source, tmp_path, short):
    target = tmp_path / "out.mkv"
    refused = []

    def second(done: int, total: int | None) -> None:
        if done in (2, 20):  # before there is a segment, and after
            for how in ({}, {"overwrite": True}, {"resume": True}):
                with pytest.raises(MediaError, match="another run is making it"):
                    maskvfi.interpolate(source, target, **FAST, **how)
                refused.append(how)

    maskvfi.interpolate(source, target, **FAST, progress=second)
    assert len(refused) == 6
    assert target.exists()
    assert not unfinished(target).exists()


def test_with_nothing_to_resume_a_run_begins(source, tmp_path, short):
    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(source, target, progress=stop_at(2), **FAST)
    assert not unfinished(target).exists()
    assert maskvfi.interpolate(source, target, resume=True, **FAST).resumed_at == 0


@pytest.mark.parametrize("target", ["folder/", "-"])
def test_what_is_no_video_file_cannot_be_resumed(source, tmp_path, target):
    target = target if target == "-" else f"{tmp_path}/{target}"
    with pytest.raises(MediaError, match="only a video file can be resumed"):
        maskvfi.interpolate(source, target, resume=True, **FAST)


# A run that is killed without warning three packets after a number of segments.
KILLED = """
import os, signal
from maskvfi.cli.main import main
from maskvfi.video.journal import Journal
add, close, passed = Journal.add, Journal.close_segment, []
def counted(journal, *state):
    close(journal, *state)
    passed.append(state)
def last(journal, packet):
    add(journal, packet)
    if len(passed) >= {wanted}:
        passed.append(packet)
    if len(passed) == {wanted} + 3:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.add, Journal.close_segment = last, counted
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("wanted", [1, 2])
def test_a_killed_run_is_gone_on_with(tmp_path, wanted):
    """399 frames are three whole segments."""
    source = make_clip(tmp_path / "in.mkv", times=200, codec="ffv1", options={}, size=(64, 48))
    options = ["--codec", "ffv1", "--vfi", "blend", "--mask", "off", "--device", "cpu", "--scene-cut", "off"]
    target = tmp_path / "out.mkv"
    killed = run("interpolate", source, target, *options, code=KILLED.format(wanted=wanted))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(segments(target)) == wanted
    assert not target.exists()
    again = run("interpolate", source, target, *options, "--resume")
    assert again.returncode == 0, again.stderr
    assert b"resumed after" in again.stderr
    assert run("interpolate", source, tmp_path / "whole.mkv", *options).returncode == 0
    assert packets(target) == packets(tmp_path / "whole.mkv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv", "out.mkv", "whole.mkv"]


@pytest.fixture
def truncated(tmp_path) -> Path:
    whole = make_clip(tmp_path / "whole.mkv", times=120, codec="ffv1", options={}, size=(48, 32))
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    return path


def test_of_an_input_that_ends_too_early_the_frames_so_far_are_kept(truncated, tmp_path):
    report = maskvfi.interpolate(truncated, tmp_path / "out.mkv", codec="ffv1", **FAST)
    assert "cut.mkv" in report.damage
    assert 60 < report.frames_in < 100
    with open_source(tmp_path / "out.mkv") as reader:
        assert sum(1 for _ in reader) == report.frames_out == 2 * report.frames_in - 1
    with pytest.raises(MediaError, match=r"cut\.mkv"):
        maskvfi.interpolate(truncated, tmp_path / "strict.mkv", strict=True, **FAST)
    assert not (tmp_path / "strict.mkv").exists()


def test_a_few_frames_before_the_damage_are_kept_too(tmp_path):
    """Fewer than are read ahead to find cuts."""
    result = Report("in", "out")
    with open_source(make_clip(tmp_path / "in.mkv", times=2, codec="ffv1", options={})) as reader:

        def broken():
            yield from reader
            raise MediaError("damaged")

        timeline, _ = choose_timeline(maskvfi.Options(), reader.info.rate)
        gaps = list(gaps_of(broken(), reader.info, timeline, maskvfi.Options(), result))
    assert result.damage == "damaged"
    assert sum(len(gap.slots) for gap in gaps) == 3


def test_the_command_says_so_and_exits_with_3(truncated, tmp_path):
    done = run("interpolate", truncated, tmp_path / "out.mkv", "--vfi", "blend", "--mask", "off")
    assert done.returncode == 3
    assert b"the output ends there" in done.stderr
    assert (tmp_path / "out.mkv").exists()


def test_a_resumed_run_computes_in_the_tiles_of_the_run_before(source, tmp_path, short, monkeypatch):
    """Free memory says how large tiles are, and running out of it makes them smaller for good."""
    from maskvfi.synthesis.renderer import Renderer

    seen: list[int] = []
    render = Renderer.render

    def watched(self, group):
        if not seen:  # as if memory had run out in the first run
            self._interpolator.at_once = 1 << 19
        seen.append(self._interpolator.at_once)
        return render(self, group)

    monkeypatch.setattr(Renderer, "render", watched)

    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(source, tmp_path / "out.mkv", progress=stop_at(20), codec="ffv1", **FAST)
    before = len(seen)
    report = maskvfi.interpolate(source, tmp_path / "out.mkv", resume=True, codec="ffv1", **FAST)
    assert report.resumed_at
    assert set(seen[before:]) == {1 << 19}


def test_a_folder_of_images_is_the_same_with_other_files_beside_them(tmp_path):
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((48, 64, 3), 40 * n, np.uint8))
    before = fingerprint(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    assert fingerprint(tmp_path) == before
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((48, 64, 3), np.uint8))
    assert fingerprint(tmp_path) != before


def test_a_name_that_is_no_text_has_a_fingerprint(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "a.png").rename(folder / os.fsdecode(b"\xe9_1.png"))
    assert len(fingerprint(folder)) == 64


def test_a_damaged_manifest_costs_no_segments_unasked(source, tmp_path, short):
    target = tmp_path / "out.mkv"
    with pytest.raises(KeyboardInterrupt):
        maskvfi.interpolate(source, target, progress=stop_at(20), **FAST)
    (manifest,) = tmp_path.glob(".out.mkv.unfinished/manifest.json")
    kept = sorted(path.name for path in manifest.parent.iterdir())
    manifest.write_text('{"form')
    for resume in (False, True):
        with pytest.raises(MediaError, match=r"cannot be resumed, manifest\.json in"):
            maskvfi.interpolate(source, target, resume=resume, **FAST)
    assert sorted(path.name for path in manifest.parent.iterdir()) == kept
