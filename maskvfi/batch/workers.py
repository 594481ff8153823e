"""Ray: started here or joined, and the workers that hold the networks."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import ray
import torch
from ray.exceptions import RayError, RayTaskError

from maskvfi.allocator import keep_freed_memory
from maskvfi.batch.segments import Made, Part, make, survey
from maskvfi.batch.storage import fetched
from maskvfi.errors import OptionError
from maskvfi.options import Options
from maskvfi.pipeline.run import Report, weights_of
from maskvfi.synthesis.interpolator import Interpolator

CORES_PER_WORKER = 4  # cores that one worker has by itself, on CPUs
MAX_RETRIES = 3  # of a part whose worker was lost
MAX_AHEAD = 16  # parts that a survey may be ahead


@contextmanager
def cluster(address: str | None) -> Iterator[bool]:
    """Ray, while the block lasts: what this process has already, the cluster at `address`, or a Ray of its own.

    Args:
        address: That of a cluster to join; None starts Ray on this machine.

    Yields:
        True if this call started or joined Ray, which then ends with the block.

    Raises:
        ConnectionError: No cluster answers at the address, it lets nobody in, or Ray cannot be started here.
    """
    if ray.is_initialized():
        yield False
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it announces a change
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            how["include_dashboard"] = False
        else:
            check_reachable(address)
        with _silent_stderr():
            ray.init(address or "local", **how)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        what = f"{address}: no Ray cluster lets this in" if address else "Ray cannot be started here"
        raise ConnectionError(f"{what} ({error.__cause__ or error})") from error
    try:
        yield True
    finally:
        ray.shutdown()


class Worker:
    """Makes parts of videos; it holds the networks, and a copy of a video that lies elsewhere while it works on it."""

    def __init__(self, options: Options, threads: int) -> None:
        keep_freed_memory()
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        self._options = options
        self._interpolator: Interpolator | None = None
        self._source = ""
        self._path = Path()
        self._copies = ExitStack()

    def describe(self) -> dict[str, Any]:
        """What its frames depend on: device, precision, runtime, weights, and how many px it computes at once."""
        interpolator = self._networks()
        weights = weights_of(self._options)
        return {**interpolator.computed_by, "weights": weights, "at_once": interpolator.at_once}

    def process(self) -> tuple[str, int]:
        return socket.gethostname(), os.getpid()

    def make(self, source: str, suffix: str, part: Part) -> tuple[Made, tuple[str, int]]:
        """The part, and the process that made it."""
        if source != self._source:
            self._copies.close()
            self._source = ""
            self._path = self._copies.enter_context(fetched(source))
            self._source = source
        return make(self._path, suffix, part, self._options, self._networks()), self.process()

    def _networks(self) -> Interpolator:
        if self._interpolator is None:
            self._interpolator = Interpolator.from_options(self._options)
        return self._interpolator


class Workers:
    """The workers of a batch: one for every GPU, else for every CORES_PER_WORKER cores of a machine, or as asked.

    `computed_by` is what all of them compute with. Raises ValueError where there is no room for so many, or where they
    would not make the same frames. passing: Ray ends after them anyway.
    """

    def __init__(self, options: Options, workers: int | None, passing: bool) -> None:
        self._options = options
        self._passing = passing
        self.cores, gpus, count = _room(workers, options.device)
        lasting: dict[str, Any] = {"max_restarts": -1, "max_task_retries": MAX_RETRIES}
        actor = ray.remote(Worker).options(num_cpus=self.cores, num_gpus=gpus, **lasting)
        self.actors = [actor.remote(options, self.cores) for _ in range(count)]
        described = answers([worker.describe.remote() for worker in self.actors])
        at_once = min(each["at_once"] for each in described)
        self.computed_by: dict[str, Any] = described[0] | {"at_once": at_once}
        for other in described[1:]:
            for name in ("device", "precision", "runtime"):
                if other[name] != described[0][name]:
                    raise OptionError(f"the workers differ: {described[0][name]} and {other[name]}")
            if [w["sha256"] for w in other["weights"]] != [w["sha256"] for w in described[0]["weights"]]:
                raise OptionError("the workers differ: their weights of one name are not the same")
        self.processes = dict(
            zip(self.actors, answers([worker.process.remote() for worker in self.actors]), strict=True)
        )
        self._survey = ray.remote(_survey).options(
            num_cpus=0,  # beside the workers, which have them all
            scheduling_strategy="SPREAD",
            num_returns="streaming",
            _generator_backpressure_num_objects=MAX_AHEAD,
        )

    def survey(self, source: str, suffix: str, least: int, at_once: int) -> Any:
        """References to what `segments.survey` yields, as it comes; at_once: px, 0 for what these workers can."""
        computed_by = self.computed_by | ({"at_once": at_once} if at_once else {})
        return self._survey.remote(source, suffix, self._options, computed_by, least)

    def make(self, worker: Any, source: str, suffix: str, part: Part) -> Any:
        """A reference to what `Worker.make` gives."""
        return worker.make.remote(source, suffix, part)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._passing:
            for worker in self.actors:
                ray.kill(worker)


def answers(references: Any) -> Any:
    """What they refer to; what went wrong there is raised as it was raised there."""
    try:
        return ray.get(references)
    except RayTaskError as error:
        raise error.cause from None


def _survey(
    source: str, suffix: str, options: Options, computed_by: dict[str, Any], least: int
) -> Iterator[dict[str, Any] | Part | Report]:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with fetched(source) as path:
        yield from survey(path, suffix, options, computed_by, least)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Without what Ray's core, which is no Python, writes on the standard error while the block lasts."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def check_reachable(address: str) -> None:
    """Raise OSError at once where nobody listens; Ray itself would try for minutes.

    Args:
        address: HOST:PORT, with or without ray:// before it; anything else is left to Ray.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _room(workers: int | None, device: str) -> tuple[int, int, int]:
    """Cores and GPUs of each worker, and how many there are."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if device == "cpu" else sum(int(machine.get("GPU", 0)) for machine in machines)
    if gpus:
        count = gpus if workers is None else workers
        if count > gpus:
            raise OptionError(f"{count} workers need as many GPUs, and there are {gpus}")
        return 1, 1, count
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    if workers is None:
        workers = max(1, sum(each // CORES_PER_WORKER for each in cores))
    for group in range(max(cores), 0, -1):
        if sum(each // group for each in cores) >= workers:
            return group, 0, workers
    raise OptionError(f"{workers} workers need as many cores, and there are {sum(cores)}")
