"""PSNR: over all, over a part, and where motion diverges, as other programs print it."""

import cv2
import numpy as np
import pytest

from distill.evaluate.psnr import MOST, luma_psnr, psnr, psnr_over_divergence, torn


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A soft picture, the same with noise, and the noisy one torn apart in the middle."""
    rng = np.random.default_rng(5)
    soft = cv2.resize(
        rng.integers(0, 256, (12, 16, 3)).astype(np.uint8), (128, 96), interpolation=cv2.INTER_CUBIC
    )
    noisy = np.clip(soft + np.rint(rng.normal(0, 6, soft.shape)), 0, 255).astype(np.uint8)
    pulled = noisy.copy()
    pulled[:, :60], pulled[:, 68:] = noisy[:, 4:64], noisy[:, 64:124]
    return soft, noisy, pulled


def test_psnr_is_that_of_opencv(pictures):
    truth, made, _ = pictures
    assert psnr(made, truth) == pytest.approx(cv2.PSNR(made, truth), abs=1e-4)
    assert psnr(truth, truth) == MOST


def test_a_part_counts_alone(pictures):
    truth = pictures[0]
    worse, top = truth.copy(), np.zeros(truth.shape[:2], bool)
    worse[:48] ^= 16
    top[:48] = True
    assert psnr(worse, truth, top) == pytest.approx(20 * np.log10(255 / 16), abs=1e-3)
    assert psnr(worse, truth, ~top) == MOST


def test_a_field_diverges_where_it_is_pulled_apart():
    x, y = np.meshgrid(np.arange(40.0), np.arange(30.0))
    pan, turn = np.dstack((np.full_like(x, 3), y * 0 - 2)), np.dstack((-y, x))
    assert torn(pan).all()  # nothing diverges, so all of it counts
    assert torn(turn).all()
    left = np.dstack((np.where(x < 20, -5.0, 5.0), np.zeros_like(x)))
    assert np.flatnonzero(torn(left).any(axis=0)).tolist() == [19, 20]
    slides = np.dstack((np.where(y < 15, -5.0, 5.0), 0 * y))  # two halves that slide along each other
    assert torn(slides).all()


def test_over_a_known_field_it_is_what_the_authors_print(pictures):
    """Their calculate_psnr_div (conalld/psnr-div, November 2026) printed this for the field with its parts swapped.

    numpy.gradient gives the change over rows first, and their code takes that of u for du/dx. With swapped parts both
    programs add the same two derivatives.
    """
    truth, made, _ = pictures
    x, y = np.meshgrid(np.arange(128.0), np.arange(96.0))
    u = 3 * np.exp(-((x - 70) ** 2 + (y - 40) ** 2) / 300)
    v = 2 * np.exp(-((x - 30) ** 2 + (y - 60) ** 2) / 200)
    assert luma_psnr(made, truth, torn(np.dstack((u, v)))) == pytest.approx(35.15621, abs=1e-4)


def test_errors_beside_a_tear_do_not_count(pictures):
    _, made, pulled = pictures
    near, far = made.copy(), made.copy()
    near[:, 58:70] ^= 32
    far[:, :8] ^= 32
    assert psnr_over_divergence(made, near, pulled) < psnr_over_divergence(made, made, pulled) == MOST
    assert psnr(near, made) < psnr(far, made)
