"""ST-LPIPS: the distance that the package of its authors gives, zero for equal pictures, differentiable."""

from importlib.util import find_spec

import pytest
import torch

from distill.training.perceptual import PACKAGE, load_perceptual

pytestmark = pytest.mark.skipif(
    find_spec(PACKAGE) is None,
    reason="the weights are in stlpips-pytorch: pip install stlpips-pytorch==0.0.2",
)


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of noise, and the same with more noise."""
    random = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 97, 130, generator=random)
    return a, (a + 0.1 * torch.randn(2, 3, 97, 130, generator=random)).clamp(0, 1)


def test_the_distance_is_that_of_the_package(pictures):
    """stlpips-pytorch 0.0.2 prints these: LPIPS(net="alex", variant="shift_tolerant")(a, b, normalize=True)."""
    expected = torch.tensor([0.002830356, 0.003119490])
    assert torch.allclose(load_perceptual()(*pictures), expected, rtol=1e-4, atol=0)


def test_equal_pictures_have_no_distance(pictures):
    assert torch.equal(load_perceptual()(pictures[0], pictures[0]), torch.zeros(2))


def test_a_gradient_leads_to_the_other_picture(pictures):
    a, b = pictures[0], pictures[1].clone().requires_grad_(True)
    distance = load_perceptual()
    before = distance(a, b).sum()
    (gradient,) = torch.autograd.grad(before, b)
    assert gradient.isfinite().all()
    step = 0.01 * gradient / gradient.norm()
    assert distance(a, b - step).sum() < before
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_half_precision_around_it_changes_nothing(pictures):
    distance = load_perceptual()
    expected = distance(*pictures)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distance(*pictures), expected)
