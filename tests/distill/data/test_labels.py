"""Labels: a rule says what stands still, and a teacher's labels are stored once."""

import shutil

import numpy as np
import pytest
import torch

from distill.data.clips import Shards
from distill.data.labels import (
    MOVING,
    PUBLISHED,
    STATIC,
    TRAINING,
    UNSURE,
    label_shard,
    label_tuples,
    static_labels,
    surely_moves,
    unlabelled,
)
from distill.data.mask_samples import Stills
from distill.data.prepare import Recipe, prepare
from distill.data.teachers import Dis, GapMotion
from distill.data.tensors import as_batch


def test_stored_labels_are_those_of_the_teacher_and_are_used(shards, tmp_path):
    for file in (*shards.glob("*.tar"), shards / "tuples.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert label_tuples(tmp_path, Dis()) == 24
    labels, frames = Shards(tmp_path, "labels"), as_batch(Shards(tmp_path).frames(0))
    assert labels.keys == Shards(tmp_path).keys
    static, unsure = static_labels(Dis().motion(frames[:1], frames[1:2]), frames[:1], frames[1:2], TRAINING)
    stored = labels.frames(0)[0]
    assert np.array_equal(stored == STATIC, static[0].numpy())
    assert np.array_equal(stored == UNSURE, unsure[0].numpy())
    assert (stored == MOVING).mean() > 0.5
    sample = Stills(tmp_path, size=64, clean=True)[0]
    assert sample["static"].shape == (4, 64, 64)
    assert label_tuples(tmp_path, Dis()) == 0  # all there
    assert label_tuples(tmp_path, Dis(), PUBLISHED) == 24  # another rule
    moved = shutil.copytree(shards.parent, tmp_path / "moved", ignore=shutil.ignore_patterns("shards"))
    prepare(moved, tmp_path, Recipe(6))  # the same clips in another place
    assert list(tmp_path.glob("labels-*"))
    prepare(shards.parent, tmp_path, Recipe(6, seed=1))  # other tuples, to which the labels do not belong
    assert not list(tmp_path.glob("labels-*"))


def test_labels_of_weights_that_moved_are_kept_and_those_of_two_teachers_refused(
    shards, tmp_path, monkeypatch
):
    monkeypatch.setattr("distill.data.prepare.PER_SHARD", 3)
    assert prepare(shards.parent, tmp_path, Recipe(6)) == 6
    for file in shards.glob("textures-*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())

    class Moved(Dis):
        sha256 = "0123"

        def __init__(self, name: str) -> None:
            self.name = name

    first, second = sorted(tmp_path.glob("tuples-*"))
    assert label_shard(first, Moved("rife:a.pkl"), TRAINING, 1.0) == 12
    assert unlabelled(tmp_path, Moved("rife:there/b.pkl"), TRAINING, 1.0) == [second]
    label_shard(second, Dis(), TRAINING, 1.0)
    with pytest.raises(ValueError, match="its labels are those of several teachers"):
        Stills(tmp_path, size=64)


def test_an_interrupted_labelling_goes_on_where_it_stopped(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("distill.data.prepare.PER_SHARD", 2)
    assert prepare(shards.parent, tmp_path, Recipe(6)) == 6

    class Tiring(Dis):
        calls = 0

        def motion(self, img0, img1):
            self.calls += 1
            if self.calls > 3:
                raise KeyboardInterrupt
            return super().motion(img0, img1)

    with pytest.raises(KeyboardInterrupt):
        label_tuples(tmp_path, Tiring())
    assert [path.name for path in sorted(tmp_path.iterdir()) if "label" in path.name] == ["labels-00000.tar"]
    assert label_tuples(tmp_path, Dis()) == 16
    assert Shards(tmp_path, "labels").keys == Shards(tmp_path).keys


def test_what_a_rule_calls_still():
    still = GapMotion((0.5,), torch.zeros(1, 1, 4, 40, 40))
    texture = torch.rand(1, 3, 40, 40)
    flat = torch.full((1, 3, 40, 40), 0.5)
    assert static_labels(still, texture, texture)[0].all()
    static, unsure = static_labels(still, flat, flat)
    assert unsure.all()
    assert not static.any()
    assert static_labels(still, flat, flat, PUBLISHED)[0].all()
    moving = GapMotion((0.5,), torch.full((1, 1, 4, 40, 40), 0.4))
    assert not static_labels(moving, texture, texture.roll(1, -1))[0].any()
    assert static_labels(moving, texture, texture.roll(1, -1), PUBLISHED)[0].all()


def test_a_flat_place_moves_where_everything_moves():
    flat = torch.full((1, 3, 40, 40), 0.5)
    motion = torch.full((1, 1, 4, 40, 40), 4.0)
    static, unsure = static_labels(GapMotion((0.5,), motion), flat, flat, TRAINING)
    assert not static.any()
    assert not unsure.any()
    motion[..., :8] = 0.0  # a fifth of the picture stands: flow may have spread from what moves
    assert static_labels(GapMotion((0.5,), motion), flat, flat, TRAINING)[1].all()


def test_what_surely_moves_slides_and_does_not_stand(shards):
    frames = Shards(shards).frames(0)
    moves = surely_moves([frames[0], frames[2], frames[2]])
    assert moves.shape == (2, 256, 256)
    assert moves[0].mean() > 0.5
    assert not moves[1].any()
