"""StaticBench's cases: both classes are there, and their truth is known."""

import cv2
import numpy as np
import pytest

from distill.evaluate.cases import KINDS, SIDE, static_cases
from distill.evaluate.judges import difference_judge
from distill.evaluate.staticbench import judge_cases


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


def test_a_clip_in_which_nothing_shows_gives_no_case_and_is_named(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("distill.evaluate.cases.TRIES", 3)
    writer = cv2.VideoWriter(str(tmp_path / "black.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 272))
    for _ in range(6):
        writer.write(np.zeros((272, 320, 3), np.uint8))
    writer.release()
    assert {case.kind for case in static_cases(tmp_path, 1, seed=1)} <= {"repeat"}  # of drawn textures
    assert "black.avi: gives no case of hud: no motion shows in it" in " ".join(
        capfd.readouterr().err.split()
    )
    with pytest.raises(ValueError, match="no case of hud, fade"):
        judge_cases([difference_judge()], static_cases(tmp_path, 1, seed=1), [])


def test_what_is_static_looks_alike_but_for_light_and_what_moves_does_not(cases):
    for case in cases:
        if case.kind == "hud":
            change = cv2.absdiff(*case.frames).mean(axis=2)
            assert np.median(change[case.static[0]]) < np.median(change[~case.static[0] & ~case.unsure[0]])


def test_what_is_replaced_is_known_and_neither_stands_nor_moves(cases):
    found = [case for case in cases if case.kind == "swap"]
    assert len(found) == 2
    for case in found:
        assert case.replaced.any()
        assert not (case.replaced & (case.static | case.unsure | case.vague)).any()
    assert all(case.replaced is None for case in cases if case.kind != "swap")


def test_repeating_and_drifting_backgrounds_are_synthetic_and_move(cases):
    for case in cases:
        if case.kind in ("repeat", "drift"):
            assert not case.real
            assert (~case.static & ~case.unsure).mean() > 0.02
