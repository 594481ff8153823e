"""The second answer's best threshold at one half."""

import pytest
import torch

from distill.training.balance import balance
from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import load_static, save_weights


@torch.inference_mode()
def test_an_answer_that_was_made_too_shy_is_found_again_and_stillness_is_untouched(tmp_path, shards, capfd):
    shy = load_static("static-s")
    shy.head.bias[4:] -= 6
    save_weights(tmp_path / "shy.safetensors", shy)
    shift = balance(tmp_path / "shy.safetensors", shards, tmp_path / "out.safetensors", samples=4)
    assert shift == 4  # the most that is tried: the true best is beyond
    assert "best at a logit of -4 or beyond, where the search ends" in capfd.readouterr().err
    made, frames = load_static(tmp_path / "out.safetensors"), torch.rand(1, 3, 3, 40, 48)
    assert torch.equal(made.sequence(frames), shy.sequence(frames))
    before, after = (each.class_logits(frames).replaced for each in (shy, made))
    torch.testing.assert_close(after, before + 4)


def test_a_mask_with_one_answer_is_refused(tmp_path, shards):
    save_weights(tmp_path / "one.safetensors", StaticMaskNet())
    with pytest.raises(ValueError, match=r"one\.safetensors: does not say what was replaced"):
        balance(tmp_path / "one.safetensors", shards, tmp_path / "out.safetensors", samples=1)
    assert not (tmp_path / "out.safetensors").exists()
