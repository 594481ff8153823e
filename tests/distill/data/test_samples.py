"""Training samples depend on their number alone, and know what is true of them."""

import numpy as np
import pytest
import torch

from distill.data.mask_samples import NEAR, NEAR_OWN, SHOWN, Stills, _gap
from distill.data.triplets import Triplets
from distill.synthetic.motion import Layer, Scene


def test_a_sample_depends_on_its_number_alone(shards):
    for samples in (Stills(shards, size=64), Triplets(shards, size=64)):
        first = samples[3]
        samples[4]
        assert all(torch.equal(first[key], samples[3][key]) for key in first)


def test_samples_that_do_not_fit_are_refused_before_any_is_drawn(shards):
    for samples in (Stills, Triplets):
        with pytest.raises(ValueError, match=r"pictures are 256 px wide, samples of 300 px do not fit"):
            samples(shards, size=300)
    with pytest.raises(ValueError, match="an even number of px wide, as video is, not 65"):
        Stills(shards, size=65)


def test_samples_know_what_was_replaced(shards):
    samples = Stills(shards, size=64)
    found = [samples[k] for k in range(40)]
    assert any(sample["replaced"].any() for sample in found)
    for sample in found:
        assert not (sample["replaced"] & sample["static"]).any()
        assert not (sample["replaced"] & ~sample["sure"]).any()
        assert not (sample["replaced"] & ~sample["replaced_sure"]).any()


def test_pairs_of_frames_are_samples_too(shards):
    samples = Stills(shards, size=64, length=2)
    for number in range(8):  # some of them are played backwards: arrays with a negative stride
        sample = samples[number]
        assert sample["frames"].shape == (2, 3, 64, 64)
        assert sample["static"].shape == sample["sure"].shape == (1, 64, 64)


def test_a_flat_place_moves_with_its_layer():
    rng, size = np.random.default_rng(0), 256
    back = np.full((320, 320, 3), 90, np.uint8)
    back[:, :64] = rng.integers(0, 256, (320, 64, 3))  # motion is seen at the left alone
    scene = Scene((Layer(back, None, (size / 2, size / 2), velocity=(0.0, 6.0)),), size)
    frames = [scene.frame(time) for time in (0.0, 1.0)]
    static, unsure = _gap(scene, 0, *frames, SHOWN)
    assert not static.any()
    assert not unsure[:, : 32 + NEAR_OWN // 2 - 3].any()
    assert unsure[:, 32 + NEAR_OWN // 2 + 3 :].all()
    square = np.zeros((320, 320), np.float32)
    square[:, 160:] = 1  # now the flat part is another layer, which moves unseen
    scene = Scene((*scene.layers, Layer(np.full_like(back, 90), square, (size / 2,) * 2, (0.0, 6.0))), size)
    _, unsure = _gap(scene, 0, *frames, SHOWN)
    assert unsure[:, 160 + NEAR // 2 :].all()


def test_triplets_know_times_and_overlays(shards):
    samples = Triplets(shards, size=64, synthetic=0.0, overlays=1.0)
    found = [samples[k] for k in range(30)]
    assert {round(float(sample["time"]), 3) for sample in found} == {0.333, 0.5, 0.667}
    assert any(sample["covered"].any() for sample in found)
    for sample in found:
        assert not (sample["covered"] & ~sample["clear"]).any()
        assert (sample["flow"] * sample["covered"]).abs().max() == 0
