"""StaticBench: its figures are those that one gets by hand."""

from dataclasses import replace

import numpy as np
import pytest

from distill.evaluate.cases import KINDS, Case
from distill.evaluate.judges import (
    PROBABILITIES,
    Judge,
    difference_judge,
)
from distill.evaluate.staticbench import PAIRS, f1, judge_cases

BLANK = np.zeros((10, 10, 3), np.uint8)


PANS = [(BLANK, BLANK + 100)]


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


def test_f1_judges_the_rarer_class_and_ignores_what_is_unsure():
    truth = np.array([True, False, False, False, False])
    unsure = np.array([False, False, False, False, True])
    assert f1(truth, truth, unsure) == 1
    assert f1(~truth, ~truth, unsure) == 1
    assert f1(np.array([True, True, False, False, True]), truth, unsure) == pytest.approx(2 / 3)


def test_f1_over_thresholds_is_f1_at_each_of_them(cases):
    case = cases[0]
    judge = difference_judge()
    result = judge_cases([judge], [replace(case, kind=kind) for kind in KINDS], PANS).results[0]
    scores = judge.scores(case.frames)[0]
    plain = [f1(scores >= limit, case.static[0], case.unsure[0]) for limit in judge.thresholds]
    assert result.f1["hud"] == pytest.approx(plain)


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
