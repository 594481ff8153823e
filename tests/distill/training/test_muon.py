"""Muon: its steps are orthogonal."""

import torch

from distill.training.muon import Muon, orthogonal


def test_muon_makes_steps_orthogonal_and_leaves_biases_to_adam():
    torch.manual_seed(0)
    for shape in ((8, 40), (40, 8), (1, 9)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
        assert values.min() > 0.6
        assert values.max() < 1.3
    network = torch.nn.Conv2d(3, 8, 3)
    before = network.weight.detach().clone(), network.bias.detach().clone()
    optimiser = Muon(network, 1e-3, 0.0)
    network(torch.rand(1, 3, 9, 9)).square().mean().backward()
    optimiser.step()
    assert torch.allclose((network.bias - before[1]).abs(), torch.tensor(1e-3), rtol=1e-3)
    step = torch.linalg.svdvals((network.weight - before[0]).detach().flatten(1)) / 1e-3
    assert step.min() > 0.6
    assert step.max() < 1.3
