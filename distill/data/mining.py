"""Tuples in which a mask calls still what trusted flows see moving: the hardest material there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from distill.arrays import Image
from distill.data.clips import Sample, Shards, remove_partial, write_shard
from distill.data.labels import MOVING, TRAINING, as_codes, static_labels
from distill.data.teachers import Dis, Teacher
from distill.data.tensors import as_batch
from maskvfi.paths import PathLike
from maskvfi.weights.load import load_static

HARD = "hard"
SHARE = 0.002  # of a gap's pixels, wrongly called still


def mine(data: Path, mask: PathLike, teacher: Teacher, every: int = 1, share: float = SHARE) -> int:
    """Find the tuples in which a mask calls moving pixels still, and store labels of these.

    DIS chooses candidates, because it is quick; the teacher decides, and its labels are stored. A shard hard-0.tar
    appears beside the tuples.

    Args:
        data: The folder of shards that `prepare` made.
        mask: The mask's weights, by name or path.
        teacher: Whose flow counts.
        every: Look at one tuple of this many.
        share: The share of wrong pixels in a tuple's worst gap from which it counts as hard.

    Returns:
        How many there are.

    Raises:
        WeightsError: The weights are missing or damaged.
        ValueError: There are no tuples, or damaged ones.
    """
    network, tuples, dis = load_static(mask), Shards(data), Dis()
    remove_partial(data, HARD)
    facts = {"mask": str(mask), "teacher": teacher.name, "share": share}

    def hard() -> Iterator[Sample]:
        for index in track(range(0, len(tuples), every), "mining"):
            frames = as_batch(tuples.frames(index))
            first, second = frames[:-1], frames[1:]
            with torch.inference_mode():
                said = network(first, second)[:, 0] >= 0.5
            for judge in (dis, teacher):
                codes = as_codes(*static_labels(judge.motion(first, second), first, second, TRAINING))
                wrong = (said & (codes == MOVING)).float().mean(dim=(1, 2)).max()
                if wrong <= share:
                    break
            else:
                yield tuples.keys[index], list(codes.numpy()), facts | {"wrong": round(float(wrong), 4)}

    return write_shard(data / f"{HARD}-0.tar", hard(), "png")


class Hard:
    """What `mine` has found in a folder; nothing, if it has not run.

    Attributes:
        indices: Of the hard tuples.
        chance: [len(indices)], how often to draw each, by how wrong the mask was.
    """

    def __init__(self, data: Path, keys: list[str]) -> None:
        """Look it up.

        Args:
            data: The folder.
            keys: Those of its tuples, in order.
        """
        places = {key: index for index, key in enumerate(keys)}
        self._labels = Shards(data, HARD) if any(data.glob(f"{HARD}-*.tar")) else None
        found = self._labels.keys if self._labels else []
        wrong = [facts["wrong"] for facts in self._labels.facts] if self._labels else []
        self._numbers = [number for number, key in enumerate(found) if key in places]
        self.indices = [places[found[number]] for number in self._numbers]
        weight = np.sqrt([wrong[number] for number in self._numbers])
        self.chance = weight / max(weight.sum(), 1e-9)

    def codes(self, place: int) -> list[Image]:
        """The labels [H,W] of the gaps of the tuple `indices[place]`, as `label` stores them."""
        assert self._labels is not None
        return self._labels.frames(self._numbers[place])
