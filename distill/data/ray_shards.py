"""Shards made by many machines: each of Ray's workers makes one shard after another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
from rich.progress import track

from distill.data.labels import Rule, label_shard, unlabelled
from distill.data.prepare import Part, cut, prepared, uncut
from distill.data.teachers import load_teacher
from distill.options import Recipe
from maskvfi.extras import install_command


def label_on_ray(data: Path, teacher: str, rule: Rule, scale: float, device: str, address: str | None) -> int:
    """Label tuples as `labels.label_tuples` does, on a Ray cluster or on Ray on this machine.

    A worker has one core, and one GPU where `device` is CUDA. The labels of a lost worker are made by another one.

    Args:
        data: The folder of shards. Every machine must see it, and a teacher's weights, under the same path.
        teacher: A name, as `load_teacher` takes it.
        rule, scale: As `label_tuples` has them.
        device: Where a teacher's network computes.
        address: That of a Ray cluster; None starts Ray on this machine until the work is done.

    Returns:
        How many gaps were labelled now.

    Raises:
        ValueError: Ray is not installed, has no such device, or some shards could not be labelled; all others are.
        ConnectionError: No cluster answers at the address.
    """
    kind, weights = device.partition(":")[0], teacher.partition(":")[2]
    if weights and Path(weights).exists():  # workers run in another folder
        teacher = f"{teacher.partition(':')[0]}:{Path(weights).resolve()}"

    def left() -> list[str]:
        return [os.fspath(path.resolve()) for path in unlabelled(data, load_teacher(teacher), rule, scale)]

    return _on_ray(left, Labeller, (teacher, kind, rule, scale), f"labelling with {teacher}", kind, address)


def prepare_on_ray(clips: Path, out: Path, recipe: Recipe, address: str | None) -> int:
    """Cut tuples as `prepare.prepare` does, on a Ray cluster or on Ray on this machine.

    Args:
        clips, out: As `prepare` has them. Every machine must see them under the same path.
        recipe: As `prepare` has it.
        address: As `label_on_ray` has it.

    Returns:
        How many tuples there are now.

    Raises:
        ValueError: Ray is not installed, there is nothing to cut, or some shards could not be cut; all others are.
        ConnectionError: No cluster answers at the address.
    """
    _on_ray(
        lambda: uncut(clips, out, recipe), Cutter, (out.resolve(), recipe), "cutting tuples", "cpu", address
    )
    return prepared(clips, out, recipe)


class Maker(Protocol):
    """What a worker of Ray does."""

    def make(self, shard: Any) -> int:
        """Make one shard. Returns how much is in it."""


class Labeller:
    """Labels shards, given by their paths, with a teacher that it loads once."""

    def __init__(self, teacher: str, device: str, rule: Rule, scale: float) -> None:
        cv2.setNumThreads(1)  # a worker has one core
        self.teacher, self.rule, self.scale = load_teacher(teacher, device), rule, scale

    def make(self, shard: str) -> int:
        return label_shard(Path(shard), self.teacher, self.rule, self.scale)


class Cutter:
    """Cuts shards, given by their numbers and what they are cut from."""

    def __init__(self, out: Path, recipe: Recipe) -> None:
        cv2.setNumThreads(1)  # a worker has one core
        self.out, self.recipe = out, recipe

    def make(self, shard: tuple[int, Part]) -> int:
        number, part = shard
        return cut(part, number, self.out, self.recipe)


def _on_ray(
    find_shards: Callable[[], list[Any]],
    maker: type[Maker],
    given: tuple[Any, ...],
    what: str,
    device: str,
    address: str | None,
) -> int:
    """Make every shard once, by as many workers as Ray has room for.

    Args:
        find_shards: Lists what `Maker.make` takes; called once Ray works, since it may delete what is out of date.
        maker: The worker's class.
        given: The arguments of its constructor.
        what: The words beside the progress bar.
        device: "cuda" gives every worker a GPU.
        address: As `label_on_ray` has it.

    Returns:
        The sum of what `make` returned.

    Raises:
        ValueError: Ray failed, or some shards could not be made; all others are.
    """
    ray, cluster = _import_ray()
    shards: list[Any] = []

    class Hand:
        def __init__(self) -> None:
            self.maker = maker(*given)

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            try:
                return {"count": self.maker.make(shards[row["item"]]), "failure": ""}
            except (ValueError, OSError) as error:
                return {"count": 0, "failure": str(error)}

    with cluster(address):
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        shards += find_shards()
        if not shards:
            return 0
        try:
            resource = "GPU" if device == "cuda" else "CPU"
            workers = min(len(shards), int(ray.cluster_resources().get(resource, 0)))
            if not workers:
                raise ValueError(f"Ray has no {resource}")
            made = ray.data.from_items(
                [{"item": number} for number in range(len(shards))], override_num_blocks=len(shards)
            ).map(
                Hand,
                compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
                num_cpus=1,
                num_gpus=int(device == "cuda"),
            )
            rows = [*track(made.iter_rows(), f"{what}, {workers} at a time", total=len(shards))]
        except ray.exceptions.RayError as error:
            raise ValueError(f"Ray: {str(error).strip().splitlines()[0]}") from None
    failures = [row["failure"] for row in rows if row["failure"]]
    if failures:
        raise ValueError(f"{len(failures)} of {len(shards)} shards are not made: {failures[0]}")
    return sum(row["count"] for row in rows)


def _import_ray() -> tuple[Any, Any]:
    """Ray, and maskvfi's `cluster`. Raises ValueError where Ray is not installed."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(f"work on Ray needs Ray ({error}): {install_command('ray')}") from None
    from maskvfi.batch.workers import cluster

    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray, cluster
