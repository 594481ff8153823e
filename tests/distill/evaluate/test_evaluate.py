"""The benchmarks: their truth is known, their figures are those one gets by hand, their page is whole."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from distill.evaluate import report as report_module
from distill.evaluate.cases import KINDS, SIDE, Case, static_cases
from distill.evaluate.dmap import count_errors, dmap_cases, measure_dmap, mix_figures
from distill.evaluate.judges import (
    PROBABILITIES,
    Judge,
    difference_judge,
    dis_judge,
    load_judge,
    network_judge,
)
from distill.evaluate.report import Report, page, write_report
from distill.evaluate.speed import Cost
from distill.evaluate.staticbench import PAIRS, calibration_table, f1, judge_cases, static_table
from distill.training.published import PublishedUNet
from maskvfi.weights.load import WeightsError, save_weights
from maskvfi.models.static import StaticMaskNet

BLANK = np.zeros((10, 10, 3), np.uint8)
PANS = [(BLANK, BLANK + 100)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A folder with one clip, a texture that slides by 3 px per frame."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (70, 110, 3)).astype(np.uint8), (440, 280))
    writer = cv2.VideoWriter(str(folder / "slide.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 272))
    for k in range(24):
        writer.write(np.ascontiguousarray(texture[:272, 3 * k : 3 * k + 320]))
    writer.release()
    return folder


@pytest.fixture(scope="module")
def cases(clips) -> list[Case]:
    """Two of every kind, so that each kind has one over real frames and one over synthetic motion."""
    return list(static_cases(clips, 2, seed=1))


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mask.safetensors"
    save_weights(path, StaticMaskNet())
    return str(path)


def test_every_kind_has_cases_with_both_classes_in_every_gap(cases):
    assert [case.kind for case in cases] == [*KINDS, *KINDS]
    for case in cases:
        gaps = 4 if case.kind == "sequence" else 1
        assert [frame.shape for frame in case.frames] == [(SIDE, SIDE, 3)] * (gaps + 1)
        assert case.static.shape == case.unsure.shape == (gaps, SIDE, SIDE)
        assert not (case.static & case.unsure).any()
        assert case.static.any(axis=(1, 2)).all()
        assert (~case.static & ~case.unsure).any(axis=(1, 2)).all()


def test_overlays_lie_over_real_frames_in_one_half_and_over_synthetic_motion_in_the_other(cases):
    for kind in ("hud", "fade", "sequence"):
        assert sorted(case.real for case in cases if case.kind == kind) == [False, True]


def test_equal_seeds_give_equal_cases(clips, cases):
    again = next(static_cases(clips, 1, seed=1))
    assert all(np.array_equal(a, b) for a, b in zip(again.frames, cases[0].frames, strict=True))
    assert np.array_equal(again.unsure, cases[0].unsure)
    other = next(static_cases(clips, 1, seed=2))
    assert not np.array_equal(other.frames[0], cases[0].frames[0])


def test_what_is_static_looks_alike_but_for_light_and_what_moves_does_not(cases):
    for case in cases:
        if case.kind == "hud":
            change = cv2.absdiff(*case.frames).mean(axis=2)
            assert np.median(change[case.static[0]]) < np.median(change[~case.static[0] & ~case.unsure[0]])


def test_a_judge_that_knows_the_truth_gets_everything_right(cases):
    first, second = cases[0].frames
    bench = judge_cases([knowing(cases)], cases, [(first, second)])
    (result,) = bench.results
    for column in (*KINDS, PAIRS):
        assert result.f1[column] == pytest.approx(1)
        assert result.precision[column] == pytest.approx(1)
        assert result.recall[column] == pytest.approx(1)
    assert result.calibration_error() == 0
    assert bench.cases == dict.fromkeys(KINDS, 2)


def test_a_judge_that_always_says_still_gets_the_f1_of_its_luck():
    few = judge_cases([constant(1.0)], by_hand(static_rows=2), PANS).results[0]
    assert few.f1["hud"] == pytest.approx(2 * 20 / (100 + 20))
    assert few.precision["hud"] == pytest.approx(0.2)
    assert few.recall["hud"] == pytest.approx(1)
    most = judge_cases([constant(1.0)], by_hand(static_rows=8), PANS).results[0]
    assert most.f1["hud"] == pytest.approx(0)
    assert few.identical == few.pan == 1


def test_a_constant_probability_is_wrong_by_its_distance_from_the_share():
    result = judge_cases([constant(0.75)], by_hand(static_rows=2), PANS).results[0]
    assert result.calibration_error() == pytest.approx(0.55)
    said, observed, pixels = result.reliability[7]
    assert said == pytest.approx(0.75)
    assert observed == pytest.approx(0.2)
    assert pixels == 100 * (len(KINDS) + 3)
    honest = judge_cases([constant(0.2)], by_hand(static_rows=2), PANS).results[0]
    assert honest.calibration_error() == pytest.approx(0, abs=1e-6)


def test_f1_over_thresholds_is_f1_at_each_of_them(cases):
    case = cases[0]
    judge = difference_judge()
    result = judge_cases([judge], [replace(case, kind=kind) for kind in KINDS], PANS).results[0]
    scores = judge.scores(case.frames)[0]
    plain = [f1(scores >= limit, case.static[0], case.unsure[0]) for limit in judge.thresholds]
    assert result.f1["hud"] == pytest.approx(plain)


def test_baselines_call_equal_frames_still_and_a_pan_moving(clips, cases):
    frame = cases[0].frames[0]
    for judge in (difference_judge(), dis_judge()):
        assert (judge.scores([frame, frame]) >= judge.thresholds[-1]).mean() > 0.95
        pan = judge.scores([frame, np.roll(frame, 20, axis=1)])
        assert (pan < judge.thresholds[len(judge.thresholds) // 2]).mean() > 0.5


def test_published_weights_are_judges_too(tmp_path, weights):
    path = tmp_path / "published.safetensors"
    save_file(PublishedUNet().state_dict(), path)
    assert network_judge(f"published:{path}").scores([BLANK] * 3).shape == (2, 10, 10)
    for wrong in (weights, tmp_path / "none.safetensors"):
        with pytest.raises(WeightsError, match="no weights of the published network"):
            load_judge(f"published:{wrong}")


def test_the_dmap_is_one_sided_and_says_what_that_costs(clips):
    found = list(dmap_cases(clips, 4, seed=1))
    ones, zeros = np.ones((256, 256), np.float32), np.zeros((256, 256), np.float32)
    missed, over, standing, still, moving, kept, changed = sum(count_errors(ones, ones, c) for c in found)
    assert missed == 0
    assert over == standing > 0
    assert still == moving > 0
    assert kept == changed
    missed, over, standing, still, *_ = sum(count_errors(zeros, zeros, c) for c in found)
    assert missed == standing
    assert over == still == 0
    assert sum(case.moving.any() for case in found) == 2


def test_text_of_the_dmap_stands_until_the_second_frame_and_changes_after_it():
    rng = np.random.default_rng(3)
    frames = [np.full((256, 256, 3), 128, np.uint8)] * 3
    found = [mix_figures(frames, rng, pans=False) for _ in range(30)]
    assert any(case.changed.any() for case in found)
    for case in found:
        first, second, third = (frame.astype(int) for frame in case.frames)
        assert np.array_equal(first, second)
        assert (np.abs(first - 128).max(axis=2)[case.standing] > 0).mean() > 0.95
        assert not (case.changed & case.moving).any()
        if not case.changed.any():
            assert np.array_equal(second, third)


def test_flows_and_masks_are_ranked_by_l1(clips, weights):
    scores = measure_dmap(clips, ["dis"], [weights], cases=2)
    assert {s.method for s in scores} == {"dis, our rule", "dis, published rule", weights}
    assert [s.l1 for s in scores] == sorted(s.l1 for s in scores)
    assert all(0 <= share <= 1 for s in scores for share in (s.l1, s.found, s.false_static, s.changed))


def test_the_report_is_whole_html_and_replaces_no_file_unasked(clips, cases, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(report_module, "COST_SIZE", (64, 48))
    monkeypatch.setattr(report_module, "measure_static", lambda *_: bench)
    pans = [(cases[0].frames[0], np.roll(cases[0].frames[0], 20, axis=1))]
    bench = judge_cases([network_judge(weights), dis_judge()], cases[:5], pans)
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").write_text('{"step": 50, "total": 1.1}\n{"step": 100, "total": 0.9}\n')
    out = tmp_path / "report.html"
    write_report(clips, out, [weights], ["dis"], cases=1, run=run)
    text = out.read_text()
    outline = Outline()
    outline.feed(text)
    assert not outline.open
    assert outline.count["table"] == 4
    assert outline.count["svg"] == 8
    assert outline.count["img"] == 4 * sum(len(found) for found in bench.examples.values())
    assert "://" not in text.replace("http://www.w3.org", "")
    assert "mask.safetensors" in text
    assert "DIS consensus" in text
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    with pytest.raises(FileExistsError, match=r"report\.html: .*--overwrite"):
        write_report(clips, out, [weights], ["dis"], cases=1)
    write_report(clips, out, [weights], ["dis"], cases=1, overwrite=True)
    assert "<h2>Training</h2>" in text
    assert "<h2>Training</h2>" not in out.read_text()


def test_names_cannot_break_the_page_or_the_tables(cases):
    judge = replace(constant(0.5), name="<b>&")
    bench = judge_cases([judge], cases, PANS)
    text = page(Report("<clips>", bench, [], [Cost("<i>", 1, 1.0, 1.0)], []))
    assert "&lt;b&gt;&amp;" in text
    assert "<clips>" not in text
    assert static_table(bench).row_count == 4
    assert calibration_table(bench).row_count == 1


def constant(probability: float) -> Judge:
    def scores(frames: list[np.ndarray]) -> np.ndarray:
        return np.full((len(frames) - 1, *frames[0].shape[:2]), probability, np.float32)

    return Judge("constant", scores, PROBABILITIES)


def knowing(cases: list[Case]) -> Judge:
    """A judge that looks the truth up by the identity of a gap's first frame."""
    truth = {id(frame): gap for case in cases for frame, gap in zip(case.frames, case.static, strict=False)}
    return Judge("knowing", lambda f: np.stack([truth[id(x)] for x in f[:-1]]).astype(float), PROBABILITIES)


def by_hand(static_rows: int) -> list[Case]:
    """A case per kind, 10x10 px, of which some rows stand still and the others move."""
    static = np.zeros((10, 10), bool)
    static[:static_rows] = True
    gaps = {kind: 4 if kind == "sequence" else 1 for kind in KINDS}
    return [
        Case(kind, "clip", False, [BLANK] * (n + 1), np.stack([static] * n), np.zeros((n, 10, 10), bool))
        for kind, n in gaps.items()
    ]


class Outline(HTMLParser):
    """Counts tags and keeps those that are still open; SVG and void elements that close themselves count too."""

    void = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
