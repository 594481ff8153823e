"""Shards from many machines: Ray's workers cut videos or hold a teacher, each makes one shard after another."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
from rich.progress import track

from distill.data.labels import Rule, label_shard, unlabelled
from distill.data.prepare import Part, Recipe, cut, prepared, uncut
from distill.data.teachers import load_teacher


def label_on_ray(
    data: Path, teacher: str, rule: Rule, scale: float = 1.0, device: str = "cpu", address: str | None = None
) -> int:
    """`labels.label_tuples` on the Ray cluster at `address`, or on Ray on this machine; returns the gaps labelled.

    teacher is a name as `load_teacher` takes it. A worker has one core, and one GPU where `device` is cuda. Every
    machine must see `data` (and a teacher's weights) under the same path and have this package. What is stored is
    what one process stores: a shard is there when it is whole, and that of a lost worker goes to another.
    Raises ValueError without Ray or its cluster, and, when all others are labelled, for shards that cannot be.
    """
    kind = device.partition(":")[0]
    left = [os.fspath(path.resolve()) for path in unlabelled(data, load_teacher(teacher), rule, scale)]
    return _on_ray(left, Labeller, (teacher, kind, rule, scale), f"labelling with {teacher}", kind, address)


def prepare_on_ray(clips: Path, out: Path, recipe: Recipe, address: str | None = None) -> int:
    """`prepare.prepare` in the same way; every machine must see `clips` and `out` under the same path."""
    left = uncut(clips, out, recipe)
    _on_ray(left, Cutter, (out.resolve(), recipe), "cutting tuples", "cpu", address)
    return prepared(out)


class Labeller:
    """A worker: the teacher, loaded once, labels one shard (a path) after another."""

    def __init__(self, teacher: str, device: str, rule: Rule, scale: float) -> None:
        cv2.setNumThreads(1)  # it has one core
        self.teacher, self.rule, self.scale = load_teacher(teacher, device), rule, scale

    def work(self, shard: str) -> int:
        return label_shard(Path(shard), self.teacher, self.rule, self.scale)


class Cutter:
    """A worker that cuts one shard (its number and what it is cut from) after another."""

    def __init__(self, out: Path, recipe: Recipe) -> None:
        cv2.setNumThreads(1)
        self.out, self.recipe = out, recipe

    def work(self, shard: tuple[int, Part]) -> int:
        number, part = shard
        return cut(part, number, self.out, self.recipe)


def _on_ray(
    shards: list[Any], worker: type, given: tuple[Any, ...], what: str, device: str, address: str | None
) -> int:
    """The sum of worker(*given).work(shard) over the shards, each made once by one of as many workers as there is
    room for. A failure of one (ValueError, OSError) is raised when all others are made.
    """
    ray = _import_ray()
    if not shards:
        return 0

    class Hand:
        def __init__(self) -> None:
            self.worker = worker(*given)

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            try:
                return {"count": self.worker.work(shards[row["item"]]), "failure": ""}
            except (ValueError, OSError) as error:
                return {"count": 0, "failure": str(error)}

    _start(ray, address)
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
    finally:
        ray.shutdown()
    failures = [row["failure"] for row in rows if row["failure"]]
    if failures:
        raise ValueError(f"{len(failures)} of {len(shards)} shards are not made: {failures[0]}")
    return sum(row["count"] for row in rows)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(f"--ray needs Ray ({error}): pip install 'maskvfi[ray]'") from None
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _start(ray: Any, address: str | None) -> None:
    """Join a cluster, or start Ray here. Raises ValueError for a cluster that does not answer or lets nobody in."""
    host, _, port = (address or "").rpartition("/")[2].rpartition(":")
    try:
        if host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        with _quiet():
            ray.init(
                address or "local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
            )
    except (OSError, ValueError, RuntimeError) as error:
        where = f"cannot join the Ray cluster at {address}" if address else "cannot start Ray"
        raise ValueError(f"{where}: {error.__cause__ or error}") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Ray's core writes on the standard error by itself; Python's own stays."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
