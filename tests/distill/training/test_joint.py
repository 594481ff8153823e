"""Training the interpolation network, alone and together with the mask."""

import json
from pathlib import Path

import pytest
import torch

from distill.training.joint import joint
from distill.training.losses import census
from distill.training.vfi import Terms, train_vfi
from distill.data.triplets import Triplets
from maskvfi import Interpolator
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.models.rife import IFNet, find_variant

SMALL = {"batch": 1, "size": 64, "cpu": True}


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Path:
    """A checkpoint as Practical-RIFE publishes them: the 4.25 architecture at its real size, random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("rife") / "flownet.pkl"
    torch.save({f"module.{k}": v for k, v in IFNet(find_variant("4.25")).state_dict().items()}, path)
    return path


def losses(run: Path) -> list[float]:
    return [json.loads(line)["total"] for line in (run / "log.jsonl").read_text().splitlines()]


def changed(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    """The modules at the top whose weights differ."""
    old, new = before.state_dict(), after.state_dict()
    return {key.partition(".")[0] for key in old if not torch.equal(old[key], new[key])}


def test_every_term_of_the_loss_trains(shards, tmp_path):
    terms = Terms(census=0.1, reversal=0.1, privileged=0.5)
    train_vfi(shards, tmp_path, steps=2, terms=terms, log_every=1, **SMALL)
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert all(line[name] > 0 for name in ("picture", "laplacian", "flow", "census", "privileged"))
    assert line["reversal"] >= 0  # what starts from DIS is the same both ways until it has learnt something
    assert isinstance(load_vfi(tmp_path / "weights.safetensors"), IFNet)


def test_a_term_that_is_not_installed_is_named(shards, tmp_path):
    try:
        import lpips  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="needs the package lpips"):
            train_vfi(shards, tmp_path, steps=1, terms=Terms(perceptual=0.1), **SMALL)


def test_the_census_sees_shape_and_not_brightness():
    picture = torch.rand(1, 3, 32, 32)
    assert census(picture, picture) == 0
    assert census(picture, picture + 0.2) < 1e-3
    assert census(picture, picture.flip(3)) > 0.2


def test_interpolation_training_resumes_to_the_same_result(shards, tmp_path):
    options = {"steps": 4, "log_every": 1, "store_every": 2, "terms": Terms(privileged=0.5), **SMALL}
    train_vfi(shards, tmp_path / "whole", **options)
    train_vfi(shards, tmp_path / "broken", stop_after=2, **options)
    train_vfi(shards, tmp_path / "broken", **options)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")


def test_doubt_can_be_given_to_a_network_that_has_none(shards, tmp_path, official):
    options = {"steps": 1, "learn": "doubt", "terms": Terms(decibel=1.0), **SMALL}
    train_vfi(shards, tmp_path, start=official, **options)
    before, after = load_vfi(official), load_vfi(tmp_path / "weights.safetensors")
    assert not changed(before, after)
    assert after.variant.doubt
    assert not before.variant.doubt
    with pytest.raises(ValueError, match="learn must be one of all, doubt"):
        train_vfi(shards, tmp_path, steps=1, learn="flow", **SMALL)


def test_triplets_know_times_and_overlays(shards):
    samples = Triplets(shards, size=64, synthetic=0.0, overlays=1.0)
    found = [samples[k] for k in range(30)]
    assert len({round(float(sample["time"]), 3) for sample in found}) > 3
    assert any(sample["covered"].any() for sample in found)
    for sample in found:
        assert not (sample["covered"] & ~sample["clear"]).any()
        assert (sample["flow"] * sample["covered"]).abs().max() == 0


def test_official_weights_are_refined_together_with_the_mask(shards, tmp_path, official):
    joint(shards, tmp_path, vfi=str(official), steps=2, **SMALL)
    vfi, mask = load_vfi(tmp_path / "vfi.safetensors"), load_static(tmp_path / "mask.safetensors")
    assert vfi.variant == load_vfi(official).variant
    assert "block0" in changed(load_vfi(official), vfi)
    assert changed(load_static(), mask)
    frame = Interpolator(vfi, mask)(torch.rand(3, 64, 64), torch.rand(3, 64, 64), 0.25)
    assert frame.shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("options", "learnt"),
    [
        ({"parts": "mask"}, set()),
        ({"parts": "vfi", "last_blocks": 2}, {"block3", "block4"}),
    ],
)
def test_only_the_chosen_part_learns(shards, tmp_path, official, options, learnt):
    joint(shards, tmp_path, vfi=str(official), steps=2, **options, **SMALL)
    assert changed(load_vfi(official), load_vfi(tmp_path / "vfi.safetensors")) == learnt
    assert bool(changed(load_static(), load_static(tmp_path / "mask.safetensors"))) == (
        options["parts"] == "mask"
    )


def test_joint_refinement_resumes_to_the_same_result(shards, tmp_path):
    options = {"steps": 4, "log_every": 1, "store_every": 2, **SMALL}
    joint(shards, tmp_path / "whole", **options)
    joint(shards, tmp_path / "broken", stop_after=2, **options)
    joint(shards, tmp_path / "broken", **options)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")


def test_unknown_parts_are_named(shards, tmp_path):
    with pytest.raises(ValueError, match="parts must be one of both, mask, vfi, not 'flow'"):
        joint(shards, tmp_path, parts="flow", steps=1, **SMALL)
