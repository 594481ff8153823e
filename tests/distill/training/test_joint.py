"""Training the mask and the interpolation network together."""

import copy
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from checkpoints import stored_alike

from distill.networks import load_rife
from distill.training.joint import Duet, joint
from maskvfi import Interpolator
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.weights.read import read_header

SMALL = {"batch": 1, "size": 64, "cpu": True}


def losses(run: Path) -> list[float]:
    return [json.loads(line)["total"] for line in (run / "log.jsonl").read_text().splitlines()]


def changed(before: torch.nn.Module, after: torch.nn.Module) -> set[str]:
    """The modules at the top whose weights differ."""
    old, new = before.state_dict(), after.state_dict()
    return {key.partition(".")[0] for key in old if not torch.equal(old[key], new[key])}


def test_official_weights_are_refined_together_with_the_mask(shards, tmp_path, official):
    joint(shards, tmp_path, vfi=str(official), steps=2, **SMALL)
    vfi, mask = load_vfi(tmp_path / "vfi.safetensors"), load_static(tmp_path / "mask.safetensors")
    assert vfi.variant == load_vfi(official).variant
    assert "block0" in changed(load_vfi(official), vfi)
    assert changed(load_static(), mask)
    frame = Interpolator(vfi, mask, runtime="torch")(torch.rand(3, 64, 64), torch.rand(3, 64, 64), 0.25)
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
    options = {"vfi": "vfi-s", "steps": 4, "log_every": 1, "store_every": 2, **SMALL}
    joint(shards, tmp_path / "whole", **options)
    joint(shards, tmp_path / "broken", stop_after=2, **options)
    joint(shards, tmp_path / "broken", **options)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert stored_alike(tmp_path / "whole", tmp_path / "broken")


def test_the_composed_frame_can_count_by_how_it_looks(shards, tmp_path):
    if find_spec("stlpips_pytorch") is None:
        pytest.skip("ST-LPIPS needs the weights in stlpips-pytorch")
    joint(shards, tmp_path, steps=1, log_every=1, perceptual=0.5, optimiser="adamw", **SMALL)
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert line["perceptual"] > 0


def test_unknown_parts_are_named(shards, tmp_path):
    with pytest.raises(ValueError, match="parts must be one of both, mask, vfi, not 'flow'"):
        joint(shards, tmp_path, parts="flow", steps=1, **SMALL)


@pytest.fixture(scope="module")
def duet() -> Duet:
    return Duet(load_rife("vfi-s"), load_static())


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A texture that slides by 3 px, with a rectangle that stands still on it."""
    random = torch.Generator().manual_seed(0)
    sheet = F.interpolate(torch.rand(1, 3, 12, 16, generator=random), (96, 128), mode="bicubic").clamp(0, 1)
    frames = sheet[..., :64, :96].clone(), sheet[..., :64, 3:99].clone()
    for frame in frames:
        frame[..., 20:40, 30:60] = torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1)
    return frames


@pytest.mark.parametrize("time", [0.25, 0.5])
def test_training_composes_as_the_product_does(duet, pair, time):
    with torch.no_grad():
        frame, plain, _ = duet.eval().compose(*pair, torch.full((1, 1, 1, 1), time))
    product = Interpolator(duet.vfi, duet.mask, "cpu", "fp32", runtime="torch")
    assert torch.allclose(frame, product(*pair, time), atol=1e-5)
    warped = Interpolator(duet.vfi, None, "cpu", "fp32", runtime="torch")
    assert torch.allclose(plain, warped(*pair, time), atol=1e-5)
    assert not torch.allclose(frame, plain, atol=1e-3)


def test_training_shows_the_nearer_frame_where_content_was_replaced(duet, pair):
    other = copy.deepcopy(duet).eval()
    with torch.no_grad():
        other.mask.head.bias[4:] += 20  # it says so everywhere
        frame, _, _ = other.compose(*pair, torch.full((1, 1, 1, 1), 0.25))
    product = Interpolator(other.vfi, other.mask, "cpu", "fp32", runtime="torch")
    assert torch.allclose(frame, product(*pair, 0.25), atol=1e-5)
    assert torch.isclose(frame, pair[0], atol=1e-5).float().mean() > 0.9


def test_refinement_holds_the_mask_to_what_it_says_was_replaced(shards, tmp_path):
    lines = []
    for weight in (1.0, 2.0):
        joint(shards, tmp_path / str(weight), vfi="vfi-s", steps=1, log_every=1, keep_mask=weight, **SMALL)
        lines.append(json.loads((tmp_path / str(weight) / "log.jsonl").read_text()))
    once, twice = lines
    held = [
        name for name in once if name != "total" and twice[name] == pytest.approx(2 * once[name], rel=1e-3)
    ]
    assert "replaced" in held
    assert once["replaced"] > 0
    assert twice["total"] - once["total"] == pytest.approx(sum(once[name] for name in held), abs=1e-3)
    assert "licence" in read_header(tmp_path / "1.0" / "mask.safetensors")  # that of the mask it began with


def test_the_gradient_of_the_composed_frame_reaches_both_networks(duet, pair):
    duet.train().zero_grad()
    frame, _, _ = duet.compose(*pair, torch.full((1, 1, 1, 1), 0.5))
    frame.square().mean().backward()
    for part in (duet.vfi, duet.mask):
        found = [parameter.grad for parameter in part.parameters() if parameter.grad is not None]
        assert found
        assert all(gradient.isfinite().all() for gradient in found)
        assert sum(gradient.abs().sum() for gradient in found) > 0
