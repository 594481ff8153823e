"""Hard tuples: those in which a mask calls moving pixels still."""

import shutil

import numpy as np
import torch

from distill.data.clips import Shards
from distill.data.labels import MOVING
from distill.data.mask_samples import Stills
from distill.data.mining import Hard, mine
from distill.data.prepare import Recipe, prepare
from distill.data.teachers import Dis
from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import save_weights


def constant(path, still: bool) -> str:
    """Weights of a mask that says the same everywhere."""
    network = StaticMaskNet()
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(9.0 if still else -9.0)
    save_weights(path, network)
    return str(path)


def test_tuples_are_hard_where_the_mask_is_wrong(shards, tmp_path):
    data = tmp_path / "data"
    prepare(shards.parent, data, Recipe(2))
    for path in shards.glob("textures*"):
        shutil.copy(path, data)
    assert mine(data, constant(tmp_path / "moving.safetensors", still=False), Dis()) == 0
    keys = Shards(data).keys
    assert Hard(data, keys).indices == []
    found = mine(data, constant(tmp_path / "still.safetensors", still=True), Dis())
    hard = Hard(data, keys)
    assert found == len(hard.indices) == 2
    assert np.isclose(hard.chance.sum(), 1)
    for place in range(found):
        assert (np.stack(hard.codes(place)) == MOVING).any()
    assert Stills(data, size=64)[0]["static"].shape == (4, 64, 64)
    assert mine(data, str(tmp_path / "still.safetensors"), Dis(), every=2) == 1
    assert mine(data, str(tmp_path / "moving.safetensors"), Dis()) == 0
    assert Hard(data, keys).indices == []  # not what was found before


def test_without_mining_nothing_is_hard(shards):
    assert Hard(shards, Shards(shards).keys).indices == []
