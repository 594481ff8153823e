"""A video made in parts, in any order, is the video made at once."""

import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from clips import make_clip

import maskvfi
from maskvfi.errors import MediaError
from maskvfi.options import Options
from maskvfi.pipeline.report import weights_of
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.video import muxer
from maskvfi.video.journal import Journal

pytest.importorskip("ray")

from maskvfi.batch import segments

FADE = {"vfi": "blend", "mask": None, "device": "cpu"}


def packets(path: Path) -> list[tuple[int, int | None, int | None, int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(p.stream.index, p.pts, p.dts, p.duration, bytes(p)) for p in container.demux() if p.size]


def make_apart(source: Path, target: Path, **asked: object) -> list[segments.Part]:
    """Survey, make the parts from last to first, join."""
    how = Options.of(None, asked)
    interpolator = Interpolator.from_options(how)
    computed_by = {**interpolator.computed_by, "weights": weights_of(how), "at_once": interpolator.at_once}
    facts, *found, report = segments.survey(source, target.suffix, how, computed_by, muxer.SEGMENT)
    assert isinstance(facts, dict)
    assert isinstance(report, maskvfi.Report)
    journal = Journal(target, facts, resume=True, overwrite=False)
    for part in reversed(found):
        made = segments.make(source, target.suffix, part, how, interpolator)
        state = {"run": {"tally": made.tally, "seconds": made.seconds}, "writer": part.end}
        journal.put(part.number, made.packets, part.frames, state)
    journal.close()
    segments.join(source, target, how, facts, overwrite=False)
    assert not journal.folder.exists()
    return found


@pytest.fixture(autouse=True)
def short(monkeypatch) -> Iterator[None]:
    """Segments of few frames, so that small clips have some."""
    monkeypatch.setattr(muxer, "SEGMENT", 8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """2.6 s, key frames every 12, B-frames, sound."""
    return make_clip(
        tmp_path_factory.mktemp("clip") / "in.mp4",
        times=64,
        size=(48, 32),
        audio="aac",
        options={"preset": "ultrafast", "g": "12", "bf": "2"},
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"factor": 3, "loop": True, "start": 1.8},
        {"fps": "60000/1001"},
        {"fps": 10},
        {"slow": 4, "start": 2.1},
        {"duplicates": "resolve", "scene_cut": "off"},
        {"start": 2.1, "end": 2.4},
        {"on_cut": "blend", "scene_cut": 3, "end": 1},
    ],
    ids=str,
)
def test_the_packets_are_those_of_one_run(source, tmp_path, asked):
    maskvfi.interpolate(source, tmp_path / "whole.mkv", codec="ffv1", **FADE, **asked)
    found = make_apart(source, tmp_path / "segments.mkv", codec="ffv1", **FADE, **asked)
    assert len(found) > 1
    assert packets(tmp_path / "segments.mkv") == packets(tmp_path / "whole.mkv")


def test_with_mask_and_networks_of_the_box_too(source, tmp_path):
    asked = {"codec": "ffv1", "device": "cpu", "runtime": "torch", "end": 0.5}
    maskvfi.interpolate(source, tmp_path / "whole.mkv", **asked)
    make_apart(source, tmp_path / "segments.mkv", **asked)
    assert packets(tmp_path / "segments.mkv") == packets(tmp_path / "whole.mkv")


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".webm", "libvpx-vp9"), (".avi", "mpeg4")]
)
def test_in_containers_and_codecs_that_lose(source, tmp_path, suffix, codec):
    asked = {"codec": codec, "encoder_options": {"mbtree": "0"} if codec == "libx264" else {}, **FADE}
    maskvfi.interpolate(source, tmp_path / f"whole{suffix}", **asked)
    make_apart(source, tmp_path / f"parts{suffix}", **asked)
    assert packets(tmp_path / f"parts{suffix}") == packets(tmp_path / f"whole{suffix}")


def test_times_that_vary_and_a_late_start_stay_exact(tmp_path):
    ticks = [5 + k + (k % 3) for k in range(0, 60, 2)]
    source = make_clip(tmp_path / "in.mkv", times=ticks, time_base=Fraction(1, 25), audio="aac")
    maskvfi.interpolate(source, tmp_path / "whole.mkv", codec="ffv1", **FADE)
    make_apart(source, tmp_path / "segments.mkv", codec="ffv1", **FADE)
    assert packets(tmp_path / "segments.mkv") == packets(tmp_path / "whole.mkv")


def test_where_a_key_frame_is_no_place_to_begin_a_part_is_read_from_the_start(tmp_path):
    """Without key frames after the first, but marked as if: what a decoder gives after a seek is not the picture."""
    options = {"preset": "ultrafast", "x264-params": "keyint=infinite:intra-refresh=1:scenecut=0"}
    source = make_clip(tmp_path / "in.mp4", times=64, size=(48, 32), options=options)
    maskvfi.interpolate(source, tmp_path / "whole.mkv", codec="ffv1", **FADE)
    make_apart(source, tmp_path / "segments.mkv", codec="ffv1", **FADE)
    assert packets(tmp_path / "segments.mkv") == packets(tmp_path / "whole.mkv")


def test_of_an_input_that_ends_too_early_the_frames_so_far_are_the_same(tmp_path):
    whole = make_clip(tmp_path / "in.mkv", times=60, codec="ffv1", options={}, size=(48, 32))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    report = maskvfi.interpolate(cut, tmp_path / "whole.mkv", codec="ffv1", **FADE)
    assert report.damage
    make_apart(cut, tmp_path / "segments.mkv", codec="ffv1", **FADE)
    assert packets(tmp_path / "segments.mkv") == packets(tmp_path / "whole.mkv")


def test_a_source_that_is_another_by_now_is_noticed(source, tmp_path):
    how = Options.of(None, FADE | {"codec": "ffv1"})
    interpolator = Interpolator("blend", None, "cpu")
    computed_by = {**interpolator.computed_by, "weights": [], "at_once": 1 << 22}
    _, part, *_ = segments.survey(source, ".mkv", how, computed_by, 8)
    other = make_clip(
        tmp_path / "other.mp4", times=64, size=(48, 32), options={"preset": "ultrafast", "crf": "40"}
    )
    with pytest.raises(MediaError, match=r"other\.mp4: gave other frames when it was read again"):
        segments.make(other, ".mkv", part, how, interpolator)


def test_what_cannot_be_joined_is_refused_at_once(source):
    computed_by = {**Interpolator("blend", None, "cpu").computed_by, "weights": [], "at_once": 1 << 22}
    with pytest.raises(MediaError, match=r"cannot join what is written for \.y4m"):
        next(segments.survey(source, ".y4m", Options.of(None, FADE), computed_by, 8))


def test_a_part_is_computed_in_the_tiles_that_it_names(source):
    """Whatever memory the worker has: frames from other tiles differ."""
    how = Options.of(None, FADE | {"codec": "ffv1"})
    interpolator = Interpolator.from_options(how)
    computed_by = {**interpolator.computed_by, "weights": [], "at_once": 1 << 19}
    facts, part, *_ = segments.survey(source, ".mkv", how, computed_by, 8)
    assert facts["at_once"] == 1 << 19
    segments.make(source, ".mkv", part, how, interpolator)
    assert interpolator.at_once == 1 << 19


def test_an_interlaced_or_turned_video_in_parts_is_the_video_made_at_once(tmp_path):
    """Deinterlaced frames depend on their neighbours, which a part has to read too."""
    fields = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=176x144:r=50",
        "-vf",
        "tinterlace=interleave_top",
        "-frames:v",
        "48",
    ]
    flagged = ["-c:v", "mpeg2video", "-g", "12", "-bf", "0", "-flags", "+ildct+ilme", "-top", "1"]
    subprocess.run(["ffmpeg", "-v", "error", *fields, *flagged, tmp_path / "a.mp4"], check=True)
    turned = make_clip(tmp_path / "b.mp4", times=48, rotation=90)
    for source, suffix in ((tmp_path / "a.mp4", ".mkv"), (turned, ".avi")):
        whole, parts = tmp_path / f"whole{suffix}", tmp_path / f"parts{suffix}"
        how = {**FADE, "codec": "ffv1", "scene_cut": "off"}
        maskvfi.interpolate(source, whole, **how)
        assert len(make_apart(source, parts, **how)) > 5
        assert packets(parts) == packets(whole)
        whole.unlink()
        parts.unlink()


def test_floats_of_which_some_are_brighter_than_white_are_the_same_in_parts(tmp_path):
    """What networks see of highlights depends on the frames that are rendered together alone."""
    rng, source = np.random.default_rng(0), tmp_path / "in.mkv"
    sheet = cv2.resize(rng.random((6, 12), np.float32), (96, 32), interpolation=cv2.INTER_CUBIC)
    with av.open(str(source), "w") as out:
        stream = out.add_stream("ffv1", rate=25, options={"strict": "experimental"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "gbrpf32le"
        for n in range(32):
            picture = sheet[:, n : n + 48] * (4 if 10 <= n < 14 else 1)
            frame = av.VideoFrame.from_ndarray(np.dstack([picture] * 3), "gbrpf32le")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    how = {"vfi": "vfi-s", "device": "cpu", "runtime": "torch", "codec": "ffv1", "scene_cut": "off"}
    maskvfi.interpolate(source, tmp_path / "whole.mkv", **how)
    assert len(make_apart(source, tmp_path / "parts.mkv", **how)) > 3
    assert packets(tmp_path / "parts.mkv") == packets(tmp_path / "whole.mkv")
