"""Ray: started here or joined, and the workers that hold the networks."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import ray
import torch
from ray.exceptions import RayError, RayTaskError

from maskvfi.allocator import keep_freed_memory
from maskvfi.batch.segments import Part, PartResult, make, survey
from maskvfi.batch.storage import fetched, named_by_place
from maskvfi.errors import MediaError, OptionError, reason
from maskvfi.options import Options
from maskvfi.pipeline.report import Report, weights_of
from maskvfi.synthesis.interpolator import Interpolator

CORES_PER_WORKER = 4  # by default, without GPUs
MAX_RETRIES = 3  # further tries of a part whose worker died
TOKEN = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN if ~/.ray/auth_token is not the token of its head node"
CLOSING = 5.0  # seconds in which workers delete what they have copied
MAX_AHEAD = 16  # parts that a survey may have found before they are taken


@contextmanager
def cluster(address: str | None) -> Iterator[bool]:
    """Connect to Ray for the length of the block. A connection that this process has already is used.

    Args:
        address: The address of a cluster to join; None starts Ray on this machine.

    Yields:
        True if this call started or joined Ray; the connection then ends with the block.

    Raises:
        ConnectionError: No cluster answers at the address, it refuses this client, or Ray cannot be started here.
    """
    if ray.is_initialized():
        yield False
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns about a future change
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            settings["include_dashboard"] = False
        else:
            check_reachable(address)
        with _silent_stderr():
            ray.init(address or "local", **settings)
    except (RayError, RuntimeError, ValueError, OSError) as error:
        cause = str(error.__cause__ or error)
        if "InvalidAuthToken" in cause:  # Ray sends no token unless it is told to
            raise ConnectionError(f"{address}: this Ray cluster wants a token ({TOKEN})") from error
        what = (
            f"{address}: cannot connect to a Ray cluster there" if address else "Ray cannot be started here"
        )
        raise ConnectionError(f"{what} ({cause})") from error
    try:
        yield True
    finally:
        ray.shutdown()


class Worker:
    """A Ray actor that makes parts of videos.

    It keeps the networks, and a copy of the video that it works on if that is on another machine.

    Args:
        options: The options of the batch.
        threads: The number of CPU threads to use.
    """

    def __init__(self, options: Options, threads: int) -> None:
        keep_freed_memory()
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        self._options = options
        self._interpolator: Interpolator | None = None
        self._checked = False
        self._source = ""
        self._path = Path()
        self._copies = ExitStack()

    def describe(self) -> dict[str, Any]:
        """What frames depend on, by name: `computed_by`, weights and at_once, the largest tile in px."""
        interpolator = self._networks()
        weights = weights_of(self._options)
        return {**interpolator.computed_by, "weights": weights, "at_once": interpolator.at_once}

    def process(self) -> tuple[str, int]:
        """The machine and the process id of this worker."""
        return socket.gethostname(), os.getpid()

    def make(self, source: str, suffix: str, part: Part, computed_by: dict[str, Any]) -> PartResult:
        """Make a part.

        Args:
            source: The video: an absolute path or an address.
            suffix: The suffix of the output.
            part: The part.
            computed_by: What `describe` said of all workers when the batch began.

        Returns:
            The result.

        Raises:
            MediaError: As `segments.make` does.
            OptionError: After an accident this worker was started on a machine that makes other frames.
        """
        if not self._checked:
            check_alike([computed_by, self.describe()])
            self._checked = True
        if source != self._source:
            self._copies.close()
            self._source = ""
            self._path = self._copies.enter_context(fetched(source))
            self._source = source
        try:
            made = make(self._path, suffix, part, self._options, self._networks())
        except MediaError as error:
            raise MediaError(named_by_place(str(error), self._path, source)) from error
        return replace(made, warnings=[named_by_place(line, self._path, source) for line in made.warnings])

    def close(self) -> None:
        """Delete the copy of a video."""
        self._copies.close()

    def _networks(self) -> Interpolator:
        if self._interpolator is None:
            self._interpolator = Interpolator.from_options(self._options)
        return self._interpolator


def check_alike(described: list[dict[str, Any]]) -> None:
    """Check that all workers make the same frames.

    Args:
        described: What `Worker.describe` said of each.

    Raises:
        OptionError: They do not.
    """
    first = described[0]
    for other in described[1:]:
        if [w["sha256"] for w in other["weights"]] != [w["sha256"] for w in first["weights"]]:
            raise OptionError("the workers differ: their weights of one name are not the same")
        for name in sorted(other.keys() - {"weights", "at_once"}):
            if other[name] != first.get(name):
                which = f"{name.replace('_', ' ')} {first.get(name)} and {other[name]}"
                advice = " (fp32 is the same on all)" if "precision" in name else ""
                raise OptionError(f"the workers differ: {which}{advice}")


class Workers:
    """The workers of a batch, as a context manager.

    Args:
        options: The options of the batch.
        workers: Their number; by default one for every GPU, else one for every CORES_PER_WORKER cores of a machine.
        owns_ray: Whether Ray is shut down after the batch, so that the workers need not be ended one by one.

    Attributes:
        actors: The workers.
        processes: The machine and process id of every worker.
        computed_by: What all of them compute with, see `Worker.describe`.
        cores: The number of cores of each worker.

    Raises:
        OptionError: The cluster has too few GPUs or cores, or the workers would not make the same frames.
        ConnectionError: A worker cannot be started.
    """

    def __init__(self, options: Options, workers: int | None, owns_ray: bool) -> None:
        self._options = options
        self._owns_ray = owns_ray
        self.cores, gpus, count = _room(workers, options.device, owns_ray)
        actor = ray.remote(Worker).options(num_cpus=self.cores, num_gpus=gpus, max_restarts=-1)
        self.actors = [actor.remote(options, self.cores) for _ in range(count)]
        described = self._first_results([worker.describe.remote() for worker in self.actors])
        at_once = min(each["at_once"] for each in described)
        self.computed_by: dict[str, Any] = described[0] | {"at_once": at_once}
        check_alike(described)
        processes = self._first_results([self.process(worker) for worker in self.actors])
        self.processes = dict(zip(self.actors, processes, strict=True))
        self._survey = ray.remote(_survey).options(
            num_cpus=0,  # the workers have reserved all cores
            scheduling_strategy="SPREAD",
            num_returns="streaming",
            _generator_backpressure_num_objects=MAX_AHEAD,
        )

    def _first_results(self, references: list[Any]) -> Any:
        """The results of all workers; they are ended if one cannot be started."""
        try:
            return results_of(references)
        except RayError as error:
            self._kill()
            raise ConnectionError(f"a worker cannot be started ({reason(error)})") from error

    def survey(self, source: str, suffix: str, min_frames: int, at_once: int) -> Any:
        """Start a survey.

        Args:
            source: The video: an absolute path or an address.
            suffix: The suffix of the output.
            min_frames: The least number of output frames in a part.
            at_once: The largest tile in px; 0 for the largest that all workers can compute.

        Returns:
            A Ray generator of references to what `segments.survey` yields.
        """
        computed_by = self.computed_by | ({"at_once": at_once} if at_once else {})
        return self._survey.remote(source, suffix, self._options, computed_by, min_frames)

    def make(self, worker: Any, source: str, suffix: str, part: Part) -> Any:
        """Start making a part.

        Args:
            worker: One of `actors`.
            source, suffix, part: As `Worker.make` takes them.

        Returns:
            A Ray reference to what `Worker.make` returns.
        """
        return worker.make.remote(source, suffix, part, self.computed_by)

    def process(self, worker: Any) -> Any:
        """Ask a worker where it runs.

        Args:
            worker: One of `actors`.

        Returns:
            A Ray reference to its machine and process id; an error if Ray has not started it again.
        """
        return worker.process.remote()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        # A worker that is busy does not answer in time: its copy of a video stays.
        closed = [worker.close.remote() for worker in self.actors]
        try:
            ray.wait(closed, num_returns=len(closed), timeout=CLOSING)
        finally:
            if not self._owns_ray:
                self._kill()

    def _kill(self) -> None:
        for worker in self.actors:
            ray.kill(worker)


def results_of(references: Any) -> Any:
    """Wait for the results of Ray tasks.

    Args:
        references: A Ray reference, or a list of them.

    Returns:
        The result, or the list of results.

    Raises:
        Exception: What a task has raised, as it was raised there.
        RayError: The worker is lost.
    """
    try:
        return ray.get(references)
    except RayTaskError as error:
        raise error.cause from None


def _survey(
    source: str, suffix: str, options: Options, computed_by: dict[str, Any], min_frames: int
) -> Iterator[dict[str, Any] | Part | Report]:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with fetched(source) as path:
        for found in survey(path, suffix, options, computed_by, min_frames):
            if isinstance(found, Report):
                found.warnings = [named_by_place(line, path, source) for line in found.warnings]
                found.damage = named_by_place(found.damage, path, source)
            yield found


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2 in the block; Ray's C++ core writes there."""
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
    """Check quickly that something listens at an address; Ray itself would try for minutes.

    Args:
        address: HOST:PORT, with or without ray:// before it; anything else is left to Ray.

    Raises:
        OSError: Nothing listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _room(workers: int | None, device: str, here: bool) -> tuple[int, int, int]:
    """The number of cores and of GPUs of each worker, and the number of workers.

    Ray counts GPUs without asking whether PyTorch can use them; of this machine (`here`) that is known.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    without = device == "cpu" or (device == "auto" and here and not torch.cuda.is_available())
    gpus = 0 if without else sum(int(machine.get("GPU", 0)) for machine in machines)
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
