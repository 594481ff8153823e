"""Teachers measure motion alike, whatever they are; the published network is the published one."""

from importlib.util import find_spec

import pytest
import torch

from distill.training.published import PublishedUNet
from distill.data.teachers import load_teacher


def shifted(pixels: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 40), scale_factor=8, mode="bicubic").clamp(
        0, 1
    )
    return wide[..., 16:272], wide[..., 16 + pixels : 272 + pixels]


def test_dis_measures_a_pan_in_both_directions_in_pixels_per_gap():
    motion = load_teacher("dis").motion(*shifted(4))
    assert motion.flows.shape == (1, 2, 4, 192, 256)
    inside = motion.speeds()[..., 32:-32, 32:-32]
    assert inside.shape[1] == 2
    assert inside.median() == pytest.approx(4, abs=0.2)
    assert motion.flows[0, 0, 2, 32:-32, 32:-32].median() == pytest.approx(-4, abs=0.2)


def test_rife_weights_are_asked_at_several_times():
    motion = load_teacher("rife:vfi-s").motion(*(image[..., :64, :64] for image in shifted(0)))
    assert motion.times == (0.25, 0.5, 0.75)
    assert motion.flows.shape == (1, 3, 4, 64, 64)
    assert motion.speeds().shape == (1, 6, 64, 64)


def test_a_teacher_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="unknown teacher 'oracle'"):
        load_teacher("oracle")
    for package, name in (("ptlflow", "ptlflow:memfof"), ("memfof", "memfof:some/checkpoint")):
        if find_spec(package) is None:
            with pytest.raises(ValueError, match="needs a package that is not installed"):
                load_teacher(name)


def test_the_published_network_has_its_published_size_and_does_not_look_at_its_neighbours():
    torch.manual_seed(0)
    network = PublishedUNet().eval()
    assert sum(p.numel() for p in network.parameters()) == 2_209_976
    frames = torch.rand(3, 2, 3, 30, 44)
    with torch.inference_mode():
        assert network.sequence(frames).shape == (3, 1, 30, 44)
        assert torch.allclose(network.sequence(frames)[:1], network.sequence(frames[:1]), atol=1e-6)
