"""The bench of made frames: do its methods hit the right moment, do its measures say what they should."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.cli import main
from distill.data.clips import find_clips
from distill.evaluate.methods import blend, dis, find_ffmpeg, minterpolate
from distill.evaluate.psnr import psnr
from distill.evaluate.quality import measure_quality, measure_set
from distill.evaluate.qualitytables import quality_tables, set_tables
from distill.evaluate.runs import moving_runs
from distill.evaluate.similarity import Similarity, flicker

RNG = np.random.default_rng(3)
SHEET = cv2.GaussianBlur(RNG.integers(0, 256, (160, 400, 3), np.uint8), (0, 0), 3)


def pan(at: float) -> np.ndarray:
    """A window that slides over a sheet of soft noise, stretched to full contrast."""
    shift = np.float32([[1, 0, -at - 40], [0, 1, 0]])
    window = cv2.warpAffine(SHEET, shift, (224, 160), flags=cv2.INTER_CUBIC)
    return np.clip((window.astype(np.float32) - 128) * 6 + 128, 0, 255).astype(np.uint8)


def methods() -> dict:
    found = {"dis": dis}
    if ffmpeg := find_ffmpeg("minterpolate"):
        found["minterpolate"] = minterpolate(ffmpeg)
    return found


@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize("name", ["dis", "minterpolate"])
def test_every_made_frame_is_the_one_of_its_moment(name, times):
    if name not in methods():
        pytest.skip("no ffmpeg with minterpolate")
    truth = [pan(8 * k / times) for k in range(times + 1)]
    made = methods()[name](truth[0], truth[-1], times)
    assert len(made) == times - 1
    for k, frame in enumerate(made, 1):
        scores = [psnr(frame[16:-16, 32:-32], other[16:-16, 32:-32]) for other in truth]
        assert int(np.argmax(scores)) == k
        assert scores[k] > psnr(
            blend(truth[0], truth[-1], times)[k - 1][16:-16, 32:-32], truth[k][16:-16, 32:-32]
        )


def test_flicker_is_what_does_not_move_evenly():
    truth = [pan(4 * k) for k in range(3)]
    worse = truth[1].copy()
    worse[:80] ^= 16
    assert flicker(truth, truth) == 0
    assert flicker([truth[0], worse, truth[2]], truth) == pytest.approx(8, abs=1e-3)


def test_measures_prefer_the_truth():
    similarity = Similarity()
    truth = [pan(4 * k) for k in range(3)]
    blurred = [truth[0], cv2.GaussianBlur(truth[1], (0, 0), 2), truth[2]]
    best, worse = similarity.measures(truth, truth), similarity.measures(blurred, truth)
    assert best["psnr"] == 60
    assert worse["psnr"] < best["psnr"]
    if "ssim" in best:
        assert best["ssim"] == pytest.approx(1)
        assert worse["ssim"] < 0.99
    if (scores := similarity.vmaf([truth, blurred], [truth, truth])) is not None:
        assert scores[0] > 95 > scores[1]


def test_bench_over_a_clip(tmp_path: Path):
    path = tmp_path / "pan.mkv"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25, (224, 160))
    for k in range(9):
        video.write(pan(3 * k)[..., ::-1].copy())
    video.release()
    (clip,) = find_clips(tmp_path)
    runs = list(moving_runs(clip, 3, 2))
    assert [len(run.truth) for run in runs] == [3, 3, 3]
    assert [(len(run.given), run.gap) for run in runs] == [(5, 0), (4, 1), (5, 3)]
    assert psnr(runs[0].truth[1], pan(3)) > 30
    assert all(run.given[run.gap + 1] is run.truth[-1] for run in runs)
    shorter = list(moving_runs(replace(clip, frames=clip.frames + 1), 3, 2))  # than it states
    assert [(len(run.given), run.gap) for run in shorter] == [(5, 0), (4, 1)]
    measured = measure_quality(tmp_path, "vfi-s", "static-s", runs=1)
    by_method = {score.method: score.measures for score in measured.plain}
    assert by_method["DIS"]["psnr"] > by_method["blend"]["psnr"]
    assert list(by_method)[-2:] == ["vfi-s", "vfi-s + static-s"]
    masked = {score.method: score.measures for score in measured.overlaid}
    noisy = {score.method: score.measures for score in measured.noisy}
    assert set(masked) == set(noisy) == {"mask off", "mask on", "true mask"}
    # Two frames that are mixed have noise of 10 code values over the square root of 2.
    assert noisy["true mask"]["inside"] == pytest.approx(20 * np.log10(255 / 10 * 2**0.5), abs=0.4)
    assert masked["true mask"]["inside"] > 45
    titles = [table.title or "" for table in quality_tables(measured)]
    assert len(titles) == 6 + any("ST-LPIPS" in title for title in titles)
    columns = [column for table in quality_tables(measured) for column in table.columns]
    assert "nan" not in [cell for column in columns for cell in column.cells]


def test_clips_in_which_nothing_moves_are_named(tmp_path: Path):
    video = cv2.VideoWriter(str(tmp_path / "still.mkv"), cv2.VideoWriter_fourcc(*"FFV1"), 25, (224, 160))
    for _ in range(5):
        video.write(pan(0)[..., ::-1].copy())
    video.release()
    with pytest.raises(ValueError, match="nothing moves"):
        measure_quality(tmp_path, "vfi-s", runs=1)


def test_a_test_set_is_measured_by_its_parts(tmp_path: Path):
    for kind in ("a", "b"):
        for k in range(7):
            path = tmp_path / kind / f"{k:05d}.png"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), cv2.resize(pan(3 * k), (448, 320))[..., ::-1])
    measured = measure_set("gdm", tmp_path, "vfi-s", "static-s", wanted=("psnr", "psnr_div"))
    by_method = {score.method: score.measures for score in measured.plain if score.clip == "a/00003"}
    assert {"blend", "DIS", "vfi-s", "vfi-s + static-s"} <= set(by_method)
    assert by_method["DIS"]["psnr"] > by_method["blend"]["psnr"]
    assert by_method["DIS"].keys() == {"psnr", "psnr_div"}
    (table,) = set_tables(measured, "gdm")
    assert table.title == "gdm, mean over 2 runs"


@pytest.mark.parametrize(("given", "masked"), [([], True), (["--mask", "off"], False)])
def test_the_command_measures_the_mask_unless_it_is_off(given, masked, tmp_path: Path, monkeypatch, capsys):
    for k in range(7):
        path = tmp_path / "a" / f"{k:05d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(pan(3 * k), (448, 320))[..., ::-1])
    words = ["--set", "gdm", str(tmp_path), "--vfi", "blend", "--measures", "psnr", *given]
    monkeypatch.setattr(sys, "argv", ["distill", "evaluate", "quality", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert ("static-s" in capsys.readouterr().out) is masked


def test_the_command_takes_a_set_or_clips(tmp_path: Path, monkeypatch, capsys):
    for words in (
        ["--set", "gdm"],
        [str(tmp_path)],
        ["--set", "gdm", str(tmp_path), "--clips", str(tmp_path)],
    ):
        monkeypatch.setattr(sys, "argv", ["distill", "evaluate", "quality", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert "give --clips FOLDER, or --set NAME and the folder" in capsys.readouterr().err.replace(
            "\n", " "
        )
