"""From flow to labels: what stands still over a whole gap, what moves, and where nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from distill.data.clips import Image, Sample, Shards, write_shard
from distill.data.teachers import Motion, Teacher, measure

MOVING, UNSURE, STATIC = 0, 128, 255  # as stored


@dataclass(frozen=True, slots=True)
class Rule:
    """When a pixel counts as still: thresholds in px per gap, of every flow the teacher gave.

    Below still_below at all times and in both directions it is static, above moving_above in all of them it
    moves; `components` measures x and y apart. With `photometric` static pixels must also look alike at zero
    motion (to `noise` code values of 255, over 5x5), moving ones must not, and a flat place, where motion
    cannot be seen (slope under `visible`), is static only if what surrounds it is. All else is unsure.
    """

    still_below: float = 0.3
    moving_above: float = 0.8
    components: bool = False
    photometric: bool = True
    noise: float = 4.0
    visible: float = 8.0


# Published: all components of the t = 0.5 flow under 0.5 px, which is half the way of a gap.
PUBLISHED = Rule(still_below=1.0, moving_above=1.0, components=True, photometric=False)


def static_labels(
    motion: Motion, img0: Tensor, img1: Tensor, rule: Rule | None = None
) -> tuple[Tensor, Tensor]:
    """Static and unsure pixels, both bool [B,H,W], of gaps between frames [B,3,H,W] in 0..1."""
    rule = rule or Rule()
    speeds = motion.speeds(rule.components)
    slow, fast = speeds.amax(dim=1) < rule.still_below, speeds.amin(dim=1) >= rule.moving_above
    if not rule.photometric:
        return slow, ~slow & ~fast
    luma0, luma1 = _luma(img0), _luma(img1)
    difference = _mean(torch.abs(luma0 - luma1), 5)
    slope = _mean(_highest(luma0, 3) + _highest(-luma0, 3), 7)
    alike = difference < rule.noise
    moves = fast & (difference > 1.5 * rule.noise)
    seen_still = slow & alike & (slope > rule.visible)
    flat = alike & (slope <= rule.visible) & ~_near(moves, 31) & _near(seen_still, 61)
    static = seen_still | flat
    return static, ~static & ~moves


def label_tuples(data: Path, teacher: Teacher, rule: Rule | None = None, scale: float = 1.0) -> int:
    """Label every gap of the tuples in `data`, a shard of labels per shard of tuples; returns how many it labelled.

    scale is what the teacher sees the frames at, as in `measure`. Shards that the same teacher labelled by the
    same rule before are kept, so that an interrupted run can be given again; others are replaced.
    """
    rule = rule or Rule()
    return sum(label_shard(path, teacher, rule, scale) for path in unlabelled(data, teacher, rule, scale))


def unlabelled(data: Path, teacher: Teacher, rule: Rule, scale: float) -> list[Path]:
    """The shards of tuples in `data` that are still to be labelled so; what killed runs left half done goes."""
    for left in data.glob("labels-*.part"):
        left.unlink(missing_ok=True)
    return [path for path in Shards(data).paths if not _labelled(path, teacher, rule, scale)]


def label_shard(path: Path, teacher: Teacher, rule: Rule, scale: float) -> int:
    """Label one shard of tuples; returns how many gaps. Its labels are in the shard's folder as soon as they are whole.

    What was labelled so before is left as it is.
    """
    tuples = Shards(path)
    gaps = sum(tuples.pictures(index) - 1 for index in range(len(tuples)))
    if _labelled(path, teacher, rule, scale):
        return gaps

    facts = _facts(teacher, rule, scale)

    def labelled() -> Iterator[Sample]:
        for index in track(range(len(tuples)), f"labelling {path.name} with {teacher.name}"):
            frames = as_batch(tuples.frames(index))
            motion = measure(teacher, frames[:-1], frames[1:], scale)
            static, unsure = static_labels(motion, frames[:-1], frames[1:], rule)
            codes = torch.where(unsure, UNSURE, torch.where(static, STATIC, MOVING)).byte().numpy()
            yield tuples.keys[index], list(codes), facts

    write_shard(_labels_of(path), labelled(), "png")
    return gaps


def _labelled(path: Path, teacher: Teacher, rule: Rule, scale: float) -> bool:
    """Whether whole labels of the tuples in `path`, made so, are stored."""
    if not _labels_of(path).is_file():
        return False
    try:
        stored = Shards(_labels_of(path))
    except ValueError:
        return False
    return stored.keys == Shards(path).keys and stored.facts[0] == _facts(teacher, rule, scale)


def _labels_of(path: Path) -> Path:
    return path.with_name(path.name.replace("tuples", "labels"))


def _facts(teacher: Teacher, rule: Rule, scale: float) -> dict[str, Any]:
    return {"teacher": teacher.name, "scale": scale, "rule": asdict(rule)}


def as_batch(frames: list[Image]) -> Tensor:
    """Frames [H,W,3] as a float tensor [N,3,H,W] in 0..1."""
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255


def _luma(image: Tensor) -> Tensor:
    """In code values of 255, [B,H,W]."""
    return 255 * (image * image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)


def _mean(x: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(F.pad(x[:, None], (size // 2,) * 4, mode="reflect"), size, 1)[:, 0]


def _highest(x: Tensor, size: int) -> Tensor:
    return F.max_pool2d(x[:, None], size, 1, size // 2)[:, 0]


def _near(mask: Tensor, reach: int) -> Tensor:
    """Pixels with a set one in the square of side `reach` around them."""
    across = F.max_pool2d(mask[:, None].float(), (1, reach), 1, (0, reach // 2))
    return F.max_pool2d(across, (reach, 1), 1, (reach // 2, 0))[:, 0] > 0
