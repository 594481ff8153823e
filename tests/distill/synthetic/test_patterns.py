"""Motion that looks like stillness: its truth is exact, and there really is something to be misled by."""

import numpy as np
import pytest

from distill.data.clips import Shards
from distill.synthetic.patterns import (
    SHEET,
    camera_speed,
    drifting_scene,
    repeating_scene,
    repeating_texture,
    soft_texture,
)


class Noise:
    """Textures of noise."""

    def __len__(self) -> int:
        return 4

    def frames(self, index: int) -> list[np.ndarray]:
        return [np.random.default_rng(index).integers(0, 256, (SHEET, SHEET, 3)).astype(np.uint8)]


@pytest.mark.parametrize("seed", range(12))
def test_a_pattern_looks_the_same_one_period_further(seed):
    pattern = repeating_texture(Noise(), np.random.default_rng(seed))
    x, y = (round(step) for step in pattern.period)
    inside = pattern.picture[60:-60, 60:-60]
    moved = pattern.picture[60 + y : SHEET - 60 + y, 60 + x : SHEET - 60 + x]
    half = pattern.picture[60 + y // 2 : SHEET - 60 + y // 2, 60 + x // 2 : SHEET - 60 + x // 2]
    assert np.abs(inside - moved).mean() < np.abs(inside - half).mean()


def test_cameras_go_by_multiples_of_the_period_nearly_so_and_freely():
    rng = np.random.default_rng(0)
    speeds = [camera_speed((10.0, 0.0), rng) for _ in range(300)]
    off = np.array([abs(x / 10 - round(x / 10)) for x, _ in speeds])
    assert 0.2 < (off < 1e-9).mean() < 0.5
    assert 0.2 < ((off > 1e-9) & (off < 0.2)).mean() < 0.6
    assert (off > 0.3).any()
    assert max(np.hypot(*speed) for speed in speeds) < 60


def test_repeating_scenes_mostly_move_and_some_stand_still():
    rng = np.random.default_rng(1)
    moving = [repeating_scene(Noise(), 96, rng).reach((0.0, 0.5, 1.0)).max() > 0.8 for _ in range(40)]
    assert np.mean(moving) > 0.5
    still = [repeating_scene(Noise(), 96, rng, still=1.0).layers[0].velocity for _ in range(10)]
    assert set(still) == {(0.0, 0.0)}


def test_a_drift_is_slow_and_has_no_edges():
    rng = np.random.default_rng(2)
    for _ in range(8):
        back = drifting_scene(Noise(), 96, rng).layers[0]
        assert 1 <= np.hypot(*back.velocity) <= 8.01
        assert np.abs(np.diff(soft_texture(Noise(), rng).astype(int), axis=1)).mean() < 8
    scene = drifting_scene(Noise(), 96, rng, still=1.0)
    assert scene.layers[0].velocity == (0.0, 0.0)


def test_scenes_are_made_of_stored_textures_too(shards):
    scene = repeating_scene(Shards(shards, "textures"), 64, np.random.default_rng(0))
    assert scene.frame(0.0).shape == (64, 64, 3)
