"""DIS flow: it finds motion without weights, at any time, and nothing where nothing moves."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskvfi.ops.dis import dis_flow, flow_at, inside_logit, search
from maskvfi.weights.load import load_vfi


@pytest.fixture(scope="module")
def texture() -> torch.Tensor:
    """Detail at every size, as pictures have it."""
    random = torch.Generator().manual_seed(0)
    octaves = [torch.rand(1, 3, 3 * 2**k, 4 * 2**k, generator=random) for k in range(6)]
    layers = [F.interpolate(o, (240, 300), mode="bicubic", align_corners=False) for o in octaves]
    return torch.stack([layer * 0.6**k for k, layer in enumerate(layers)]).sum(0) / 2.4


def test_search_says_where_a_pixel_went(texture):
    grey = (255 * texture[0].mean(dim=0).clamp(0, 1)).byte().numpy()
    found = search(grey[40:200, 50:242], grey[35:195, 57:249])
    assert found.shape == (2, 160, 192)
    assert found.dtype == np.float32
    assert np.abs(found[:, 32:-32, 32:-32] - np.array([-7, 5]).reshape(2, 1, 1)).mean() < 0.15
    for height, width in ((1, 1), (31, 90)):
        assert search(grey[:height, :width], grey[:height, :width]).shape == (2, height, width)


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("x", "y"), [(1, 0), (-7, 5), (18, -12)])
def test_a_shift_is_found_at_any_time(texture, x, y, time):
    first, second = (texture[..., 40 + s * y : 200 + s * y, 50 + s * x : 242 + s * x] for s in (1, 0))
    flow = flow_at(dis_flow(first, second), torch.full((1, 1, 1, 1), time))[..., 32:-32, 32:-32]
    wanted = torch.tensor([-time * x, -time * y, (1 - time) * x, (1 - time) * y]).view(1, 4, 1, 1)
    assert (flow - wanted).abs().mean() < 0.15


def test_nothing_moves_between_equal_frames(texture):
    assert flow_at(dis_flow(texture, texture), torch.full((1, 1, 1, 1), 0.5)).abs().max() < 1e-4


def test_a_frame_does_not_depend_on_its_batch(texture):
    pairs = texture[..., :96, :96], texture[..., 3:99, 2:98], texture[..., 60:156, 60:156]
    time = torch.tensor([0.5, 0.2]).view(2, 1, 1, 1)
    both = flow_at(dis_flow(torch.cat((pairs[0], pairs[2])), torch.cat((pairs[1], pairs[0]))), time)
    assert torch.allclose(both[:1], flow_at(dis_flow(pairs[0], pairs[1]), time[:1]), atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (65, 33)])
def test_any_size_will_do(height, width):
    images = torch.rand(2, 1, 3, height, width)
    assert flow_at(dis_flow(*images), torch.full((1, 1, 1, 1), 0.5)).shape == (1, 4, height, width)


def test_a_network_may_consist_of_it_alone(texture):
    """The member of the house without weights: its frames are where things are at that time."""
    network = load_vfi("dis")
    assert not list(network.parameters())
    start, middle, end = (texture[..., 40 : 201 - s, 50 - s : 243 - s] for s in (0, 4, 16))
    start, middle, end = (x[..., :144, :] for x in (start, middle, end))
    made = network(start, end, 0.25).frame
    inside = (..., slice(16, -16), slice(32, -32))
    error = (made - middle)[inside].square().mean()
    assert error < 0.02 * ((0.75 * start + 0.25 * end) - middle)[inside].square().mean()


def test_what_comes_from_beyond_the_rim_does_not_count():
    flow = torch.zeros(1, 4, 20, 30)
    flow[:, 0], flow[:, 2] = 6, -6  # the frame at t=0 lies to the right, the one at t=1 to the left
    share = torch.sigmoid(inside_logit(flow))[0, 0]
    assert (share[:, -4:] < 0.01).all()
    assert (share[:, :4] > 0.99).all()
    assert (share[:, 8:-8] == 0.5).all()
    assert torch.sigmoid(inside_logit(flow + 100))[0, 0].sub(0.5).abs().max() < 1e-6
