"""Training samples depend on their number alone, and know what is true of them."""

import torch

from distill.data.mask_samples import Stills
from distill.data.triplets import Triplets


def test_a_sample_depends_on_its_number_alone(shards):
    for samples in (Stills(shards, size=64), Triplets(shards, size=64)):
        first = samples[3]
        samples[4]
        assert all(torch.equal(first[key], samples[3][key]) for key in first)


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


def test_triplets_know_times_and_overlays(shards):
    samples = Triplets(shards, size=64, synthetic=0.0, overlays=1.0)
    found = [samples[k] for k in range(30)]
    assert {round(float(sample["time"]), 3) for sample in found} == {0.333, 0.5, 0.667}
    assert any(sample["covered"].any() for sample in found)
    for sample in found:
        assert not (sample["covered"] & ~sample["clear"]).any()
        assert (sample["flow"] * sample["covered"]).abs().max() == 0
