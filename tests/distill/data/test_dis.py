"""DIS flow: where a pixel of one picture lies in another one."""

import cv2
import numpy as np
import pytest

from distill.data.dis import search


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Detail at every size, as pictures have it."""
    random = np.random.default_rng(0)
    octaves = [random.random((3 * 2**k, 4 * 2**k)) for k in range(6)]
    layers = [cv2.resize(octave, (300, 240), interpolation=cv2.INTER_CUBIC) for octave in octaves]
    mixed = sum(layer * 0.6**k for k, layer in enumerate(layers)) / 2.4
    return (255 * np.clip(mixed, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (-7, 5), (18, -12)])
def test_search_says_where_a_pixel_went(picture, x, y):
    found = search(picture[40:200, 50:242], picture[40 - y : 200 - y, 50 - x : 242 - x])
    assert found.shape == (2, 160, 192)
    assert found.dtype == np.float32
    assert np.abs(found[:, 32:-32, 32:-32] - np.array([x, y]).reshape(2, 1, 1)).mean() < 0.15


def test_nothing_moves_between_equal_pictures(picture):
    assert np.abs(search(picture, picture)).max() < 1e-4


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (31, 90)])
def test_any_size_will_do(picture, height, width):
    assert search(picture[:height, :width], picture[:height, :width]).shape == (2, height, width)
