"""The D-map benchmark: its cases are as they are described, and its ranking is by L1."""

import numpy as np

from distill.evaluate.dmap import count_errors, dmap_cases, measure_dmap, mix_figures


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
