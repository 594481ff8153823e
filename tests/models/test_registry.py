"""Any network behind the interface is loaded, saved, exported and interpolates; cross-fade is the simplest."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import maskvfi
from maskvfi.models import registry
from maskvfi.models.architecture import Architecture
from maskvfi.models.base import Interpolation, InterpolationNetwork, Traits
from maskvfi.models.blend import Blend


def frames(height: int = 48, width: int = 64) -> tuple[Tensor, Tensor]:
    return tuple(torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(0)))


def test_cross_fade_is_loaded_by_name_and_has_no_motion():
    img0, img1 = frames()
    network = maskvfi.load_vfi("blend")
    assert isinstance(network, Blend)
    made = network(img0, img1, 0.3)
    assert torch.equal(made.frame, torch.lerp(img0, img1, 0.3))
    assert (made.motion, made.flow, made.blend) == (None,) * 3


def test_no_weights_at_all_are_no_cross_fade():
    with pytest.raises(maskvfi.WeightsError, match="not the weights of a known network"):
        maskvfi.load_vfi({})


def test_cross_fade_is_saved_and_loaded_again(tmp_path):
    maskvfi.save_weights(tmp_path / "mine.safetensors", maskvfi.load_vfi("blend"), licence="none")
    assert isinstance(maskvfi.load_vfi(tmp_path / "mine.safetensors"), Blend)


def test_cross_fade_is_exported(tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    assert maskvfi.export("blend", tmp_path / "out.onnx") == ["img0", "img1", "timestep"]
    img0, img1 = frames(37, 50)
    given = {"img0": img0, "img1": img1, "timestep": torch.full((1, 1, 1, 1), 0.3)}
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["frame"], {key: value.numpy() for key, value in given.items()})
    np.testing.assert_allclose(found, torch.lerp(img0, img1, 0.3).numpy(), atol=1e-6)


def test_an_interpolator_without_a_mask_fades_the_whole_frame():
    img0, img1 = frames()
    made = maskvfi.Interpolator("blend", None, "cpu")(img0, img1, 0.25)
    assert torch.allclose(made, torch.lerp(img0, img1, 0.25))


def test_still_pixels_are_copied_and_moving_ones_are_faded():
    """Over still pixels "nearest" shows one frame, so that a copy and a fade differ."""
    img0, img1 = frames(192, 256)
    still = torch.zeros(192, 256)
    still[:, :100] = 1
    interpolator = maskvfi.Interpolator("blend", "off", "cpu", static="nearest", protect=still)
    made = interpolator(img0, img1, 0.25)
    assert torch.equal(made[..., :100], img0[..., :100])
    assert torch.allclose(made[..., 100:], torch.lerp(img0, img1, 0.25)[..., 100:])


def test_a_mask_network_finds_what_cross_fade_copies():
    img0, _ = frames(192, 256)
    img1 = img0.clone()
    img1[..., 128:] = img0[..., 128:].roll(9, -1)
    made = maskvfi.Interpolator("blend", "static-s", "cpu")(img0, img1, 0.5)
    assert torch.equal(made[..., :96], img0[..., :96])
    assert (made - torch.lerp(img0, img1, 0.5))[..., 160:].abs().mean() < 0.01


class Nearest(InterpolationNetwork[Tensor, Tensor]):
    """Shows the nearer frame, brighter by a learnt amount. Its pair is one tensor [2,B,3,H,W]."""

    architecture = "nearest"

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(1))

    @property
    def traits(self) -> Traits:
        return Traits("nearest", multiple=8)

    def config(self) -> dict[str, Any]:
        return {}

    def prepare(self, image: Tensor, scale: float = 1.0) -> Tensor:
        return image.float().clamp(0, 1)

    def pair(self, start: Tensor, end: Tensor) -> Tensor:
        return torch.stack((start, end))

    def between(
        self, pair: Tensor, time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Interpolation:
        return Interpolation(self.gain + torch.where(time < 0.5, *pair))


@pytest.fixture
def nearest(monkeypatch) -> Nearest:
    added = Architecture("nearest", lambda state: "gain" in state, lambda state, config: (Nearest(), state))
    monkeypatch.setattr(registry, "ARCHITECTURES", (*registry.ARCHITECTURES, added))
    network = Nearest()
    network.gain.data += 0.125
    return network


def test_another_network_is_one_entry_in_the_registry(nearest, tmp_path):
    maskvfi.save_weights(tmp_path / "ours.safetensors", nearest)
    save_file(nearest.state_dict(), tmp_path / "theirs.safetensors")
    img0, img1 = frames()
    for source in (tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors", nearest.state_dict()):
        network = maskvfi.load_vfi(source)
        assert isinstance(network, Nearest)
        assert torch.equal(network(img0, img1, 0.75).frame, img1 + 0.125)
        made = maskvfi.Interpolator(network, None, "cpu")(img0, img1, 0.75)
        assert torch.equal(made, img1 + 0.125)
    with pytest.raises(maskvfi.OptionError, match=r"^nearest has no ensemble mode$"):
        network(img0, img1, ensemble=True)


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ({"kind": "vfi", "architecture": "warp-9"}, "unknown architecture 'warp-9'; known: rife, blend"),
        ({"kind": "vfi", "architecture": ["rife"]}, "unknown architecture"),
        ({"kind": "vfi", "architecture": "rife"}, "its header describes no RIFE network"),
        ({"kind": "vfi", "architecture": "blend"}, "Unexpected key"),
        ({}, r"not the weights of a known network \(rife, blend\)"),
    ],
)
def test_weights_of_no_known_network_are_one_line(tmp_path, header, cause):
    path = tmp_path / "w.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata={"maskvfi": json.dumps(header)})
    with pytest.raises(maskvfi.WeightsError, match=cause) as caught:
        maskvfi.load_vfi(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_strange_state_dict_is_one_line():
    with pytest.raises(maskvfi.WeightsError, match=r"^state dict: not the weights of a known network"):
        maskvfi.load_vfi({"weight": torch.zeros(3)})
