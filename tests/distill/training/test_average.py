"""The mean of weights."""

import pytest
import torch

from distill.training.average import average, with_replaced
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.models.static import StaticConfig, StaticMaskNet
from maskvfi.weights.load import load_static, load_vfi, save_weights


def test_the_mean_of_two_networks_has_the_form_of_the_last(tmp_path):
    torch.manual_seed(0)
    first, last = IFNet(find_variant("4.22.lite")), IFNet(find_variant("4.22.lite"))
    for name, network in (("a", first), ("b", last)):
        save_weights(tmp_path / f"{name}.safetensors", network)
    average(
        [tmp_path / "a.safetensors", tmp_path / "b.safetensors"], tmp_path / "mean.safetensors", half=True
    )
    mean = load_vfi(tmp_path / "mean.safetensors").state_dict()
    for name, tensor in mean.items():
        torch.testing.assert_close(
            tensor, (first.state_dict()[name] + last.state_dict()[name]) / 2, atol=1e-3, rtol=1e-2
        )
    assert (tmp_path / "mean.safetensors").stat().st_size < (tmp_path / "a.safetensors").stat().st_size * 0.6


def test_networks_of_another_shape_have_no_mean(tmp_path):
    save_weights(tmp_path / "a.safetensors", IFNet(find_variant("4.22.lite")))
    save_weights(tmp_path / "b.safetensors", StaticMaskNet())
    with pytest.raises(ValueError, match="is a network of another shape than"):
        average([tmp_path / "a.safetensors", tmp_path / "b.safetensors"], tmp_path / "mean.safetensors")


@torch.inference_mode()
def test_a_network_that_gets_a_second_output_says_of_stillness_what_it_said():
    old, frames = StaticMaskNet().eval(), torch.rand(1, 3, 3, 40, 48)
    masks = with_replaced(old).classify(frames)
    assert torch.allclose(masks.still, old.sequence(frames), atol=1e-6)
    assert masks.replaced.max() < 0.05


@torch.inference_mode()
def test_masks_of_one_output_count_in_all_but_the_second(tmp_path):
    old, new = StaticMaskNet(), StaticMaskNet(StaticConfig(replaced=True))
    for name, network in (("old", old), ("new", new)):
        save_weights(tmp_path / f"{name}.safetensors", network)
    for order in (("old", "new"), ("new", "old")):
        average([tmp_path / f"{name}.safetensors" for name in order], tmp_path / "mean.safetensors")
        mean = load_static(tmp_path / "mean.safetensors").state_dict()
        head = new.state_dict()["head.weight"]
        torch.testing.assert_close(mean["head.weight"][4:], head[4:])
        torch.testing.assert_close(mean["head.weight"][:4], (head[:4] + old.state_dict()["head.weight"]) / 2)
        torch.testing.assert_close(
            mean["look2.weight"], (old.state_dict()["look2.weight"] + new.state_dict()["look2.weight"]) / 2
        )
