"""Measures are those that their own packages print for the same pictures."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from distill.evaluate.methods import find_ffmpeg
from distill.evaluate.similarity import Similarity
from distill.options import MEASURES, QualityOptions


@pytest.fixture(scope="module")
def run() -> list[np.ndarray]:
    """Three frames of soft noise that slides by 3 px."""
    rng = np.random.default_rng(2)
    sheet = cv2.resize(
        rng.integers(0, 256, (30, 60, 3)).astype(np.uint8), (300, 150), interpolation=cv2.INTER_CUBIC
    )
    return [np.ascontiguousarray(sheet[:144, 3 * k : 3 * k + 176]) for k in range(3)]


@pytest.fixture(scope="module")
def made(run) -> list[np.ndarray]:
    """The run, the middle frame blurred."""
    return [run[0], cv2.GaussianBlur(run[1], (0, 0), 1.2), run[2]]


def measure(name: str, made: list[np.ndarray], truth: list[np.ndarray]) -> float:
    similarity = Similarity([name])
    if similarity.missing:
        pytest.skip(similarity.missing[0])
    return similarity.measures(made, truth)[name]


def test_ssim_is_the_published_formula(run, made):
    """Wang et al. 2004: a Gaussian window of 11 px and 1.5 px deviation, where it fits; the mean over the colours."""
    window = cv2.getGaussianKernel(11, 1.5)

    def mean(picture: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(picture, -1, window, window)[5:-5, 5:-5]

    a, b = (frame.astype(np.float64) for frame in (made[1], run[1]))
    va, vb, cov = (mean(x * y) - mean(x) * mean(y) for x, y in ((a, a), (b, b), (a, b)))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean(a) * mean(b) + c1) * (2 * cov + c2)
    expected = expected / ((mean(a) ** 2 + mean(b) ** 2 + c1) * (va + vb + c2))
    assert measure("ssim", made, run) == pytest.approx(expected.mean(), abs=1e-4)


@pytest.mark.skipif(find_spec("ssimulacra2") is None, reason="pip install ssimulacra2")
def test_ssimulacra2_is_what_its_command_prints(run, made, tmp_path):
    for name, frame in (("truth", run[1]), ("made", made[1])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame[..., ::-1])
    command = [sys.executable, "-m", "ssimulacra2.cli", "truth.png", "made.png"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert measure("ssimulacra2", made, run) == pytest.approx(float(printed), abs=1e-6)
    assert measure("ssimulacra2", run, run) == pytest.approx(100)


def test_vmaf_is_what_ffmpeg_writes_for_the_same_pictures(run, made, tmp_path):
    if (ffmpeg := find_ffmpeg("libvmaf")) is None:
        pytest.skip("no ffmpeg with libvmaf")
    for name, frames in (("truth", run), ("made", made)):
        for k, frame in enumerate(frames):
            cv2.imwrite(str(tmp_path / f"{name}{k}.png"), frame[..., ::-1])
    graph = "[0]format=yuv420p[a];[1]format=yuv420p[b];[a][b]libvmaf=log_fmt=xml:log_path=log.xml"
    command = [
        ffmpeg,
        "-v",
        "error",
        "-i",
        "made%d.png",
        "-i",
        "truth%d.png",
        "-lavfi",
        graph,
        "-f",
        "null",
        "-",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    frames = ElementTree.parse(Path(tmp_path, "log.xml")).findall("frames/frame")
    (score,) = Similarity(["vmaf"]).vmaf([made], [run]) or ()
    assert score == pytest.approx(float(frames[1].attrib["vmaf"]), abs=1e-3)
    assert score < 95


def test_only_what_is_wanted_is_measured(run, made):
    assert set(Similarity(["psnr", "flicker"]).measures(made, run)) == {"psnr", "flicker"}
    assert Similarity(["psnr"]).vmaf([made], [run]) is None
    with pytest.raises(ValueError, match="no measure 'psnrr'"):
        Similarity(["psnrr"])
    assert QualityOptions(measures="psnr, flicker").chosen() == ("psnr", "flicker")
    assert QualityOptions().chosen() == MEASURES
