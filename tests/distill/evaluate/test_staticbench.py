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
from distill.evaluate.staticbench import GIVEN, MIN_PIXELS, PAIRS, f1, failure_rows, judge_cases
from distill.evaluate.whole_moving import MovingGap

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


def test_near_a_true_edge_every_pixel_counts_as_right():
    few = judge_cases([constant(1.0)], by_hand(static_rows=2), PANS).results[0]
    assert few.f1[GIVEN] == pytest.approx(2 * 20 / (80 + 20))  # two of the moving rows are near the edge


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


def test_what_moves_by_a_trusted_flow_and_is_called_still_is_a_share_by_clip():
    side = int((2 * MIN_PIXELS) ** 0.5)
    frames = [np.zeros((side, side, 3), np.uint8)] * 2
    moving = np.ones((side, side), bool)
    half = Judge("half", half_still, PROBABILITIES)
    gaps = [MovingGap("a", frames, moving), MovingGap("b", frames, moving), MovingGap("c", frames, ~moving)]
    bench = judge_cases([half, constant(0.2)], by_hand(static_rows=2), PANS, gaps)
    first, second = bench.results
    assert set(first.moving) == {"a", "b"}
    assert first.moving["a"][first.middle()] == pytest.approx(side // 2 / side)
    assert second.moving["b"][second.middle()] == 0
    assert failure_rows(bench)[1][1:3] == ["0.00%", "0.00% (a)"]


def test_what_was_replaced_counts_by_itself():
    static, replaced = np.zeros((1, 10, 10), bool), np.zeros((1, 10, 10), bool)
    static[0, :2], replaced[0, 5:7] = True, True
    nothing = np.zeros_like(static)
    cases = [*by_hand(2), Case("swap", "clip", False, [BLANK] * 2, static, nothing, replaced, nothing)]
    rows = np.zeros((1, 10, 10), bool)
    rows[0, 6:9] = True
    knowing_some = replace(constant(0.9), replaced=lambda frames: rows)
    first, second = judge_cases([knowing_some, constant(0.1)], cases, PANS).results
    assert first.swap_f1 == pytest.approx(2 * 10 / (30 + 20))
    assert first.swapped[first.middle()] == 1
    assert np.isnan(second.swap_f1)
    assert second.swapped[second.middle()] == 0


def test_flicker_is_what_changes_sides_while_the_truth_does_not():
    def scores(frames: list[np.ndarray]) -> np.ndarray:
        said = np.full((len(frames) - 1, 10, 10), 0.1)
        said[1::2, :3] = 0.8  # three rows are called still in every other gap
        return said

    result = judge_cases([Judge("restless", scores, PROBABILITIES)], by_hand(2), PANS).results[0]
    assert result.flicker[result.middle()] == pytest.approx(0.3)
    assert result.flicker[0] == result.flicker[-1] == 0
    assert judge_cases([constant(0.6)], by_hand(2), PANS).results[0].flicker.max() == 0


def half_still(frames: list[np.ndarray]) -> np.ndarray:
    height, width = frames[0].shape[:2]
    return np.tile((np.arange(width) < width // 2).astype(np.float32), (len(frames) - 1, height, 1))


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
