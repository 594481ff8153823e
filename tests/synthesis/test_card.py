"""On a simulated card: shapes, types and devices are real, values are not.

Reading a value, or copying one from the CPU, would wait for all that a card still computes. Here both are errors.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils import backend_registration

from maskvfi.models.rife.network import IFNet
from maskvfi.models.rife.variants import find_variant
from maskvfi.models.static.network import StaticConfig, StaticMaskNet
from maskvfi.ops.boxes import Box
from maskvfi.synthesis.compose import compose
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.layouts import RGB, PlaneLayout, VideoLayout
from maskvfi.video.pixel_format import Colour, PixelFormat

CARD = "privateuseone:0"
HEIGHT, WIDTH = 72, 96


@pytest.fixture(scope="module")
def backend() -> None:
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this version of torch simulates no device")
    module = backend_registration._DummyBackendModule()
    module.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]
    backend_registration._setup_privateuseone_for_python_backend(backend_module=module)


@pytest.fixture
def card(backend: None, monkeypatch: pytest.MonkeyPatch) -> FakeTensorMode:
    monkeypatch.setattr(nn.Module, "to", lambda module, *_, **__: module)  # modules are made on the card
    return FakeTensorMode()


def frames_between(network: str, planes: Sequence[Tensor], layout: PlaneLayout) -> tuple[Tensor, ...]:
    """The planes of a new frame, made like the command makes them, but with boxes that are known."""
    with torch.device(CARD):
        interpolator = Interpolator(
            IFNet(find_variant(network)), StaticMaskNet(StaticConfig(replaced=True)), device=CARD
        )
        views = [interpolator.view(torch.empty(1, 3, HEIGHT, WIDTH)) for _ in range(3)]
    copied = interpolator.copied(views)[0]
    gap = interpolator.gap(*views[:2], copied.weight, [Box(0, 0, HEIGHT, WIDTH // 2)])
    moving = interpolator.moving(gap, 0.5)
    return compose(planes, planes, 0.5, moving, copied, layout)


@pytest.mark.parametrize("network", ["vfi-m", "vfi-s", "4.6", "4.25"])
def test_nothing_waits(card: FakeTensorMode, network: str) -> None:
    with card:
        (made,) = frames_between(network, [torch.empty(1, 3, HEIGHT, WIDTH, device=CARD)], RGB)
    assert made.device == torch.device(CARD)
    assert made.shape == (1, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize("name", ["yuv420p", "yuva444p10le", "gbrpf32le"])
def test_nothing_waits_in_planes(card: FakeTensorMode, name: str) -> None:
    layout = VideoLayout(PixelFormat.parse(name), Colour("bt709", full_range=False))
    with card:
        planes = [torch.empty(HEIGHT >> y, WIDTH >> x, device=CARD) for x, y in layout.log2]
        made = frames_between("vfi-m", planes, layout)
    assert [plane.shape for plane in made] == [plane.shape for plane in planes]


def test_waiting_is_noticed(card: FakeTensorMode) -> None:
    with card:
        value = torch.zeros(1, device=CARD)
        with pytest.raises(DataDependentOutputException):
            value.item()
        with pytest.raises(NotImplementedError):
            value.new_tensor([1.0])
        with pytest.raises(RuntimeError, match="device"):
            value + torch.zeros(1, device="cpu").expand(1)
