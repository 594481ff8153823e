"""The fallback: a cross-fade where the flow explains nothing, the warped frames where it does."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from maskvfi.models.rife import IFNet
from maskvfi.models.rife.fallback import Fallback
from maskvfi.weights.load import load_vfi


@pytest.fixture(scope="module")
def network() -> IFNet:
    return load_vfi("vfi-s")


@pytest.fixture(scope="module")
def texture() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    octaves = [torch.rand(1, 3, 3 * 2**k, 4 * 2**k, generator=random) for k in range(6)]
    layers = [F.interpolate(o, (200, 300), mode="bicubic", align_corners=False) for o in octaves]
    return torch.stack([layer * 0.6**k for k, layer in enumerate(layers)]).sum(0) / 2.4


def test_what_blinks_is_cross_faded_and_what_moves_is_not(network, texture):
    start, end = texture[..., 20:180, 20:260].clone(), texture[..., 20:180, 25:265].clone()
    end[..., 40:100, 40:120] = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(1))
    share = network(start, end, 0.5).fallback[0, 0]
    assert share[50:90, 50:110].mean() > 0.4
    assert share[20:140, 150:220].mean() < 0.1


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_a_share_of_1_is_a_cross_fade_and_0_leaves_the_warped_frames(texture, time):
    start, end = texture[..., :96, :96], texture[..., 40:136, 90:186]
    network, without = load_vfi("vfi-s"), IFNet(replace(load_vfi("vfi-s").variant, fallback=0)).eval()
    without.load_state_dict(network.state_dict(), strict=False)
    torch.nn.init.zeros_(network.fallback.decide.weight)
    for logit, wanted in ((50.0, torch.lerp(start, end, time)), (-50.0, without(start, end, time).frame)):
        torch.nn.init.constant_(network.fallback.decide.bias, logit)
        torch.testing.assert_close(network(start, end, time).frame, wanted)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 70), (65, 33)])
def test_any_size_will_do(height, width):
    images = torch.rand(2, 2, 3, height, width)
    flow, blend = 3 * torch.randn(2, 4, height, width), torch.rand(2, 1, height, width)
    time = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    share = Fallback(4)(*images, flow, blend, time)
    assert share.shape == (2, 1, height, width)
    assert torch.isfinite(share).all()


def test_the_share_does_not_depend_on_the_batch(texture):
    fallback = Fallback(4)
    torch.nn.init.normal_(fallback.decide.weight)
    images = texture[..., :64, :64], texture[..., 5:69, 3:67]
    flow, blend, time = torch.randn(2, 4, 64, 64), torch.rand(2, 1, 64, 64), torch.full((2, 1, 1, 1), 0.4)
    together = fallback(*(x.expand(2, -1, -1, -1) for x in images), flow, blend, time)
    torch.testing.assert_close(together[:1], fallback(*images, flow[:1], blend[:1], time[:1]))


def test_files_from_before_it_was_called_so_are_read(tmp_path):
    """Version 0.1 wrote "doubt" into header and tensor names."""
    import json

    from safetensors import safe_open
    from safetensors.torch import save_file

    from maskvfi.weights.locate import find_weights

    with safe_open(find_weights("vfi-s"), "pt") as file:
        header = json.loads(file.metadata()["maskvfi"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header["variant"]["doubt"] = header["variant"].pop("fallback")
    del header["architecture"]
    old = {name.replace("fallback.", "doubt."): value for name, value in state.items()}
    save_file(old, tmp_path / "old.safetensors", metadata={"maskvfi": json.dumps(header)})
    network = load_vfi(tmp_path / "old.safetensors")
    assert set(network.state_dict()) == set(state)
