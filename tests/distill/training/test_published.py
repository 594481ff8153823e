"""The published network is the published one."""

import torch

from distill.training.published import PublishedUNet


def test_the_published_network_has_its_published_size_and_does_not_look_at_its_neighbours():
    torch.manual_seed(0)
    network = PublishedUNet().eval()
    assert sum(p.numel() for p in network.parameters()) == 2_209_976
    frames = torch.rand(3, 2, 3, 30, 44)
    with torch.inference_mode():
        assert network.sequence(frames).shape == (3, 1, 30, 44)
        assert torch.allclose(network.sequence(frames)[:1], network.sequence(frames[:1]), atol=1e-6)
