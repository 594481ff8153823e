"""Labels from many machines: Ray's workers hold the teacher, each labels one shard after another."""

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

from distill.labels import Rule, label_shard, unlabelled
from distill.teachers import load_teacher


def label_on_ray(
    data: Path, teacher: str, rule: Rule, scale: float = 1.0, device: str = "cpu", address: str | None = None
) -> int:
    """`labels.label_tuples` on the Ray cluster at `address`, or on Ray on this machine; returns the gaps labelled.

    teacher is a name as `load_teacher` takes it. A worker has one core, and one GPU where `device` is cuda. Every
    machine must see `data` (and a teacher's weights) under the same path and have this package. What is stored is
    what one process stores: a shard is there when it is whole, and that of a lost worker goes to another.
    Raises ValueError without Ray or its cluster, and, when all others are labelled, for shards that cannot be.
    """
    ray = _import_ray()
    kind = device.partition(":")[0]
    shards = [os.fspath(path.resolve()) for path in unlabelled(data, load_teacher(teacher), rule, scale)]
    if not shards:
        return 0
    _start(ray, address)
    try:
        resource = "GPU" if kind == "cuda" else "CPU"
        workers = min(len(shards), int(ray.cluster_resources().get(resource, 0)))
        if not workers:
            raise ValueError(f"Ray has no {resource}")
        labelled = ray.data.from_items(
            [{"shard": shard} for shard in shards], override_num_blocks=len(shards)
        ).map(
            Labeller,
            fn_constructor_args=(teacher, kind, rule, scale),
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=int(kind == "cuda"),
        )
        name = f"labelling with {teacher}, {workers} at a time"
        rows = [*track(labelled.iter_rows(), name, total=len(shards))]
    except ray.exceptions.RayError as error:
        raise ValueError(f"Ray: {str(error).strip().splitlines()[0]}") from None
    finally:
        ray.shutdown()
    failures = [row["failure"] for row in rows if row["failure"]]
    if failures:
        raise ValueError(f"{len(failures)} of {len(shards)} shards are not labelled: {failures[0]}")
    return sum(row["gaps"] for row in rows)


class Labeller:
    """A worker: the teacher, loaded once, labels the shard that a row {"shard": path} names."""

    def __init__(self, teacher: str, device: str, rule: Rule, scale: float) -> None:
        cv2.setNumThreads(1)  # it has one core
        self.teacher, self.rule, self.scale = load_teacher(teacher, device), rule, scale

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            gaps = label_shard(Path(row["shard"]), self.teacher, self.rule, self.scale)
        except (ValueError, OSError) as error:
            return {"gaps": 0, "failure": str(error)}
        return {"gaps": gaps, "failure": ""}


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
