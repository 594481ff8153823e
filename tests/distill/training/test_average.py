"""The mean of weights."""

import pytest
import torch

from distill.training.average import average
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import load_vfi, save_weights


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
    with pytest.raises(ValueError, match="networks of different shape"):
        average([tmp_path / "a.safetensors", tmp_path / "b.safetensors"], tmp_path / "mean.safetensors")
