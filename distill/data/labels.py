"""From flow to labels: which pixels stand still over a whole gap, which move, and which are unsure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from distill.arrays import Bools, Image
from distill.data.clips import Sample, Shards, remove_partial, write_shard
from distill.data.teachers import Dis, GapMotion, Teacher, measure
from distill.data.tensors import as_batch
from distill.options import TEACHER_SCALE

MOVING, UNSURE, STATIC = 0, 128, 255  # as stored
SLOW = 1.0  # px per gap, below which a pixel counts as slow
MOST_SLOW = 0.05  # share of a picture that may be slow, if everything in the gap is to count as moving


@dataclass(frozen=True, slots=True)
class Rule:
    """When a pixel counts as still, as moving, or as unsure.

    Attributes:
        still_below: A pixel is still if it is slower than this, in px per gap, by every flow that the teacher gave.
        moving_above: It moves if it is at least this fast by every one of them.
        components: Measure speed as the larger of x and y, not as their length.
        photometric: Also compare the frames in place. Still pixels must look alike, and moving ones must not. A flat
            place, where motion cannot be seen, is still only if what surrounds it is.
        unseen: In a gap in which everything moves, trust the flow alone: flat places move too.
        noise: Code values by which pixels that look alike differ at most, mean over 5x5 px.
        visible: Code values of slope below which a place is flat.
    """

    still_below: float = 0.3
    moving_above: float = 0.8
    components: bool = False
    photometric: bool = True
    unseen: bool = False
    noise: float = 4.0
    visible: float = 8.0


TRAINING = Rule(unseen=True)  # benchmarks judge by Rule() alone
# StaticMaskNet's own rule: every component of the flow from t = 0.5, which covers half a gap, is under 0.5 px.
PUBLISHED = Rule(still_below=1.0, moving_above=1.0, components=True, photometric=False)


def static_labels(
    motion: GapMotion, img0: Tensor, img1: Tensor, rule: Rule | None = None
) -> tuple[Tensor, Tensor]:
    """Which pixels stand still between two frames.

    Args:
        motion: What a teacher saw between the frames.
        img0, img1: [B,3,H,W], RGB in 0..1.
        rule: When a pixel counts as still; by default `Rule()`.

    Returns:
        The still pixels and the unsure ones, both bool [B,H,W].
    """
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
    if rule.unseen:
        everything_moves = (speeds.amin(dim=1) < SLOW).float().mean(dim=(1, 2)) < MOST_SLOW
        moves |= fast & everything_moves[:, None, None]
    seen_still = slow & alike & (slope > rule.visible)
    flat = alike & (slope <= rule.visible) & ~_near(moves, 31) & _near(seen_still, 61)
    static = seen_still | flat
    return static, ~static & ~moves


def surely_moves(frames: Sequence[Image]) -> Bools:
    """Where DIS, in both directions, and the difference of the frames say that something moves; by `Rule()`.

    Benchmarks count pixels of real footage as moving where this says so.

    Args:
        frames: N pictures [H,W,3] in order.

    Returns:
        [N-1,H,W], for each gap.
    """
    images = as_batch(frames)
    first, second = images[:-1], images[1:]
    static, unsure = static_labels(Dis().motion(first, second), first, second, Rule())
    moves: Bools = (~static & ~unsure).numpy()
    return moves


def as_codes(static: Tensor, unsure: Tensor) -> Tensor:
    """Labels as they are stored: MOVING, UNSURE or STATIC, uint8; from still and unsure pixels of any shape, bool."""
    return torch.where(unsure, UNSURE, torch.where(static, STATIC, MOVING)).byte()


def label_tuples(data: Path, teacher: Teacher, rule: Rule | None = None, scale: float = TEACHER_SCALE) -> int:
    """Label every gap of the tuples in a folder; each shard of tuples gets a shard of labels.

    Shards that the same teacher labelled by the same rule before are kept, so that an interrupted run can be given
    again. Others are replaced.

    Args:
        data: The folder of shards that `prepare` made.
        teacher: Whose flow counts.
        rule: When a pixel counts as still; by default `TRAINING`.
        scale: The size at which the teacher sees the frames, as `measure` takes it.

    Returns:
        How many gaps were labelled now.

    Raises:
        ValueError: There are no tuples, or damaged ones.
    """
    rule = rule or TRAINING
    return sum(label_shard(path, teacher, rule, scale) for path in unlabelled(data, teacher, rule, scale))


def unlabelled(data: Path, teacher: Teacher, rule: Rule, scale: float) -> list[Path]:
    """The shards of tuples that still have to be labelled by this teacher and rule.

    Unfinished shards of labels, which killed runs left behind, are deleted.

    Args:
        data, teacher, rule, scale: As `label_tuples` has them.

    Raises:
        ValueError: There are no tuples, or damaged ones.
    """
    remove_partial(data, "labels")
    return [path for path in Shards(data).paths if not _labelled(path, teacher, rule, scale)]


def label_shard(path: Path, teacher: Teacher, rule: Rule, scale: float) -> int:
    """Label one shard of tuples, unless it is labelled so already. The labels appear beside it when they are whole.

    Args:
        path: The shard of tuples.
        teacher, rule, scale: As `label_tuples` has them.

    Returns:
        How many gaps it has.
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
            yield tuples.keys[index], list(as_codes(static, unsure).numpy()), facts

    write_shard(_labels_of(path), labelled(), "png")
    return gaps


def _labelled(path: Path, teacher: Teacher, rule: Rule, scale: float) -> bool:
    """Whether a whole shard of labels is stored for the tuples in `path`, made by this teacher and rule."""
    if not _labels_of(path).is_file():
        return False
    try:
        stored = Shards(_labels_of(path))
    except ValueError:
        return False
    return stored.keys == Shards(path).keys and origin(stored.facts[0]) == _facts(teacher, rule, scale)


def _labels_of(path: Path) -> Path:
    return path.with_name(path.name.replace("tuples", "labels"))


def _facts(teacher: Teacher, rule: Rule, scale: float) -> dict[str, Any]:
    named = _named(teacher.name, teacher.sha256)
    return {"teacher": named, "weights": teacher.sha256, "scale": scale, "rule": asdict(rule)}


def origin(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Who has made stored labels, and how. Earlier versions noted the path of weights, and the first no hash."""
    found = {"weights": "", **facts}
    return {**found, "teacher": _named(str(found.get("teacher")), found["weights"])}


def _named(name: str, sha256: str) -> str:
    """A teacher's name without the place of its weights, where their hash is known: they may be moved."""
    return name.partition(":")[0] if sha256 else name


def _luma(image: Tensor) -> Tensor:
    """The luma [B,H,W] of images [B,3,H,W] in 0..1, in code values of 255."""
    return 255 * (image * image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)


def _mean(x: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(F.pad(x[:, None], (size // 2,) * 4, mode="reflect"), size, 1)[:, 0]


def _highest(x: Tensor, size: int) -> Tensor:
    return F.max_pool2d(x[:, None], size, 1, size // 2)[:, 0]


def _near(mask: Tensor, reach: int) -> Tensor:
    """Pixels [B,H,W] that have a set one in the square of side `reach` px around them."""
    across = F.max_pool2d(mask[:, None].float(), (1, reach), 1, (0, reach // 2))
    return F.max_pool2d(across, (reach, 1), 1, (reach // 2, 0))[:, 0] > 0
