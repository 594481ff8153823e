"""batch(): many videos in, smoother ones out, made by many workers."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from maskvfi.batch.jobs import Job, find_jobs, refuse_replaced_sources
from maskvfi.batch.results import Row, Table
from maskvfi.batch.segments import Part, PartResult, join
from maskvfi.batch.storage import deliver, exists, fetched, local_path, restored_on_error, work_path
from maskvfi.batch.workers import MAX_RETRIES, Workers, cluster, results_of
from maskvfi.errors import MaskvfiError, MediaError, OptionError, reason
from maskvfi.options import Options
from maskvfi.paths import PathLike
from maskvfi.pipeline.report import Report
from maskvfi.timing.timeline import choose_timeline
from maskvfi.video import muxer
from maskvfi.video.images import is_image_target
from maskvfi.video.journal import Journal, kept_facts
from maskvfi.weights.locate import find_weights

ASK_INTERVAL = 1.0  # seconds between two questions to workers that were lost
POLL_INTERVAL = 0.2  # seconds between checks of the joins, which do not report by themselves


@dataclass(slots=True)
class Summary:
    """The progress of a batch.

    Attributes:
        videos: The number of videos by status (see `Row`).
        parts, frames: How many parts and output frames this run has made.
        parts_known, frames_known: How many parts and output frames this run has to make, as far as is known.
        lost: How many workers died and were replaced.
        workers: The workers, each as machine and process id.
    """

    videos: Counter[str]
    parts: int
    parts_known: int
    frames: int
    frames_known: int
    lost: int
    workers: list[tuple[str, int]]


@dataclass(slots=True, eq=False)
class _Video:
    """A video of the batch. It is surveyed, made in parts, and joined."""

    job: Job
    row: Row
    work_path: Path = Path()
    facts: dict[str, Any] = field(default_factory=dict)
    journal: Journal | None = None
    surveyed: bool = False
    joining: Future[list[str]] | None = None
    warnings: dict[str, None] = field(default_factory=dict)  # each once, in the order in which they came

    def warn(self, lines: Iterable[str]) -> None:
        """Add warnings of the survey, of a part or of the join."""
        self.warnings |= dict.fromkeys(lines)
        self.row.warnings = "; ".join(self.warnings)

    @property
    def source(self) -> str:
        """The source for workers: an absolute path, or an address."""
        return str(local_path(self.job.source) or self.job.source)

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.job.target)[1]

    @property
    def open(self) -> bool:
        return self.row.status == "waiting"


def batch(
    sources: Sequence[str],
    out: str,
    *,
    workers: int | None = None,
    address: str | None = None,
    overwrite: bool = False,
    result: PathLike | None = None,
    progress: Callable[[Summary], None] = lambda summary: None,
    options: Options | None = None,
    **fields: Any,
) -> list[Row]:
    """Raise the frame rate of many videos with many workers, to the same frames as `interpolate` makes.

    Videos are divided into segments of about 120 frames; each segment is a task. Finished segments are kept beside the
    target (in the cache folder for a target on other storage) until the video is whole. After an interruption the same
    call makes only the rest.

    Args:
        sources: Videos, folders, patterns and CSV tables, see `find_jobs`; also addresses that fsspec knows.
        out: The folder for the results, or its address.
        workers: The number of workers; by default one for every GPU, else one for every four cores of a machine.
        address: The address of a Ray cluster; by default Ray runs on this machine during the call.
        overwrite: Replace targets that exist; otherwise they count as finished.
        result: A .csv or .parquet file for the rows that are returned; it is updated after every video.
        progress: Called with the progress of the batch.
        options: The options; see `maskvfi.Options`.
        **fields: Options by name, which replace those in `options`.

    Returns:
        A row for every video; a video that cannot be made has the status "failed".

    Raises:
        MediaError, WeightsError, OptionError, OSError: The batch as a whole cannot run; the message is one line.
    """
    options = _checked(Options.of(options, fields))
    if workers is not None and workers < 1:
        raise OptionError(f"workers must be at least 1, not {workers}")
    jobs = find_jobs([os.fspath(source) for source in sources], os.fspath(out))
    if overwrite:
        refuse_replaced_sources(jobs)
    table = Table(result) if result is not None else None
    videos = [_check_job(job, overwrite) for job in jobs]
    if any(video.open for video in videos):
        with cluster(address) as owns_ray, Workers(options, workers, owns_ray) as started:
            _Batch(videos, options, started, overwrite, table, progress).run()
    rows = [video.row for video in videos]
    if table is not None:
        table.write(rows)
    return rows


class _Batch:
    """The loop that hands out surveys and parts, and joins finished videos."""

    def __init__(
        self,
        videos: list[_Video],
        options: Options,
        workers: Workers,
        overwrite: bool,
        table: Table | None,
        progress: Callable[[Summary], None],
    ) -> None:
        self._options, self._workers, self._overwrite = options, workers, overwrite
        self._table, self._progress = table, progress
        self._videos = videos
        self._unsurveyed = deque(video for video in videos if video.open)
        self._idle = list(workers.actors)
        self._parts: deque[tuple[_Video, Part]] = deque()
        self._surveys: dict[Any, _Video] = {}
        self._making: dict[Any, tuple[_Video, Any, Part]] = {}
        self._absent: list[Any] = []  # lost workers that Ray has not started again
        self._asked: dict[Any, Any] = {}  # lost workers by the Ray reference that answers once they are back
        self._ask_at = 0.0
        self._losses: Counter[tuple[str, int]] = Counter()  # workers lost, by target and part number
        self._joins = ThreadPoolExecutor(1, "maskvfi-join")
        self._parts_made = self._parts_known = self._frames_made = self._frames_known = self._lost = 0

    def run(self) -> None:
        try:
            self._report_progress()
            while any(video.open for video in self._videos):
                self._hand_out()
                self._ask_absent()
                self._wait()
                for video in self._videos:
                    if video.joining is not None and video.joining.done() and video.open:
                        self._finish_join(video, video.joining)
                self._report_progress()
        except KeyboardInterrupt:
            done = sum(not video.open for video in self._videos)
            raise KeyboardInterrupt(
                f"{done} of {len(self._videos)} videos are finished, the same command goes on"
            ) from None
        finally:
            self._joins.shutdown(cancel_futures=True)
            for video in self._videos:
                if video.open and video.journal is not None:
                    video.journal.close()

    def _hand_out(self) -> None:
        while self._idle and self._parts:
            video, part = self._parts.popleft()
            worker = self._idle.pop()
            reference = self._workers.make(worker, video.source, video.suffix, part)
            self._making[reference] = video, worker, part
        room = len(self._workers.actors)
        while self._unsurveyed and len(self._surveys) < room and len(self._parts) < room:
            self._start_survey(self._unsurveyed.popleft())

    def _start_survey(self, video: _Video) -> None:
        try:
            video.work_path = work_path(video.job.target)
        except OSError as error:
            self._fail(video, error)
            return
        at_once = kept_facts(video.work_path).get("at_once", 0)  # the tile size of an earlier run's parts
        survey = self._workers.survey(video.source, video.suffix, muxer.SEGMENT, at_once)
        self._surveys[survey] = video

    def _wait(self) -> None:
        # While enough parts are waiting the surveys' results are not taken: a survey then pauses by itself.
        parts_wanted = len(self._parts) < 2 * len(self._workers.actors)
        awaited = [*self._making, *self._asked, *(self._surveys if parts_wanted else ())]
        if not awaited:
            time.sleep(POLL_INTERVAL)
            return
        ready, _ = ray.wait(awaited, num_returns=1, timeout=POLL_INTERVAL)
        for reference in ready:
            if reference in self._making:
                self._part_made(reference, *self._making.pop(reference))
            elif reference in self._asked:
                self._answered(reference, self._asked.pop(reference))
            else:
                self._surveyed(reference, self._surveys[reference])

    def _surveyed(self, survey: Any, video: _Video) -> None:
        """Take the next result of the survey of a video."""
        try:
            found = results_of(next(survey))
            if isinstance(found, Part):
                self._add_part(video, found)
            elif isinstance(found, Report):
                self._end_survey(video, found)
            else:
                video.facts = found
                video.journal = Journal(video.work_path, found, resume=True, overwrite=self._overwrite)
                video.warn([video.journal.replaced] if video.journal.replaced else [])
        except StopIteration:
            del self._surveys[survey]
        except Exception as error:
            del self._surveys[survey]
            self._fail(video, error)

    def _end_survey(self, video: _Video, report: Report) -> None:
        assert video.journal is not None
        for number in [each for each in video.journal.numbers if each >= video.row.parts]:
            video.journal.drop(number)  # the source was longer
        for name in (
            "frames_in",
            "frames_out",
            "cuts",
            "duplicates",
            "device",
            "runtime",
            "precision",
            "damage",
        ):
            setattr(video.row, name, getattr(report, name))
        video.row.seconds_survey = report.seconds["survey"]
        video.warn(report.warnings)
        video.surveyed = True
        self._join_if_whole(video)

    def _add_part(self, video: _Video, part: Part) -> None:
        assert video.journal is not None
        video.row.parts += 1
        if video.journal.keep(part.number, part.frames):
            video.row.parts_kept += 1
        elif video.open:
            self._parts.append((video, part))
            self._parts_known += 1
            self._frames_known += part.length

    def _part_made(self, reference: Any, video: _Video, worker: Any, part: Part) -> None:
        try:
            result = results_of(reference)
        except RayError:
            self._worker_lost(video, worker, part)
            return
        except Exception as error:
            self._idle.append(worker)
            self._fail(video, error)
            return
        self._idle.append(worker)
        if video.open:
            self._store(video, part, result)

    def _worker_lost(self, video: _Video, worker: Any, part: Part) -> None:
        """Give its part to another worker. Ray starts it again, as soon as a machine has room for it."""
        self._lost += 1
        self._workers.processes.pop(worker, None)
        self._absent.append(worker)
        tried = video.job.target, part.number
        self._losses[tried] += 1
        if self._losses[tried] > MAX_RETRIES:
            self._fail(video, RuntimeError(f"{MAX_RETRIES + 1} workers were lost over part {part.number}"))
        elif video.open:
            self._parts.appendleft((video, part))

    def _ask_absent(self) -> None:
        """Ask lost workers now and then whether they are there again."""
        if self._absent and time.monotonic() >= self._ask_at:
            self._asked |= {self._workers.process(worker): worker for worker in self._absent}
            self._absent = []
            self._ask_at = time.monotonic() + ASK_INTERVAL

    def _answered(self, reference: Any, worker: Any) -> None:
        try:
            self._workers.processes[worker] = results_of(reference)
        except RayError:  # no machine has room for it yet
            self._absent.append(worker)
            return
        self._idle.append(worker)

    def _store(self, video: _Video, part: Part, result: PartResult) -> None:
        assert video.journal is not None
        state = {"run": {"tally": result.tally, "seconds": result.seconds}, "writer": part.end}
        try:
            video.journal.put(part.number, result.packets, part.frames, state)
        except (MediaError, OSError) as error:
            self._fail(video, error)
            return
        self._parts_made += 1
        self._frames_made += part.length
        video.warn(result.warnings)
        self._join_if_whole(video)

    def _join_if_whole(self, video: _Video) -> None:
        if video.open and video.surveyed and video.journal and len(video.journal.numbers) == video.row.parts:
            video.joining = self._joins.submit(self._join, video)

    def _join(self, video: _Video) -> list[str]:
        """Join a video, in a thread of its own. Returns warnings."""
        assert video.journal is not None
        states, began = video.journal.states(), time.perf_counter()
        video.journal.close()  # the writer that joins opens it
        remote = local_path(video.job.target) is None
        overwrite = self._overwrite or remote  # a film in the cache folder is our own: an upload failed
        with restored_on_error(video.journal.folder) if remote else nullcontext():
            with fetched(video.source) as source:
                warnings = join(source, video.work_path, self._options, video.facts, overwrite)
            deliver(video.work_path, video.job.target, self._overwrite)
        spent = {"survey": video.row.seconds_survey, "join": time.perf_counter() - began}
        _sum_parts(video, states, spent)
        return warnings

    def _finish_join(self, video: _Video, joining: Future[list[str]]) -> None:
        try:
            video.warn(joining.result())
        except Exception as error:
            self._fail(video, error)
            return
        video.row.status = "done"
        self._write_table()

    def _fail(self, video: _Video, error: Exception) -> None:
        if not video.open:  # done, or failed for the cause that its row tells
            return
        if not self._overwrite and _is_there(video.job.target):  # another batch has made it meanwhile
            video.row.status = "exists"
            if video.journal is not None:
                video.journal.remove()
        else:
            video.row.status, video.row.error = "failed", _one_line(error)
            if video.journal is not None:
                video.journal.close()
        for survey in [each for each, surveyed in self._surveys.items() if surveyed is video]:
            del self._surveys[survey]
            ray.cancel(survey)
        self._parts = deque(waiting for waiting in self._parts if waiting[0] is not video)
        self._write_table()

    def _write_table(self) -> None:
        """Bring the table up to date. If that fails the videos go on; `batch` writes it once more in the end."""
        if self._table is not None:
            with suppress(MediaError, OSError):
                self._table.write([each.row for each in self._videos])

    def _report_progress(self) -> None:
        self._progress(
            Summary(
                videos=Counter(video.row.status for video in self._videos),
                parts=self._parts_made,
                parts_known=self._parts_known,
                frames=self._frames_made,
                frames_known=self._frames_known,
                lost=self._lost,
                workers=list(self._workers.processes.values()),
            )
        )


def _check_job(job: Job, overwrite: bool) -> _Video:
    """The state of a job before the batch: its target may exist already, or its source be missing."""
    video = _Video(job, Row(job.source, job.target))
    source, target = local_path(job.source), local_path(job.target)
    try:
        if source and target and source.exists() and target.exists() and source.samefile(target):
            raise MediaError(f"{job.target}: is the input itself")
        if source and not source.exists():
            raise MediaError(f"{job.source}: no such file")
        if is_image_target(job.target):
            raise MediaError(f"{job.target}: a batch makes video files, not folders of images")
        if exists(job.target) and not overwrite:
            video.row.status = "exists"
    except (MediaError, OSError) as error:
        video.row.status, video.row.error = "failed", _one_line(error)
    return video


def _is_there(target: str) -> bool:
    """Whether a target exists; False where its file system cannot be reached."""
    with suppress(MediaError, OSError):
        return exists(target)
    return False


def _one_line(error: Exception) -> str:
    line = " ".join(str(error).split()) or "failed"
    if isinstance(error, OSError) and error.filename:
        line = f"{os.fsdecode(error.filename)}: {reason(error)}"
    expected = isinstance(error, MaskvfiError | OSError)
    return line if expected else f"{type(error).__name__}: {line}"


def _checked(options: Options) -> Options:
    """Check the options, and make the paths of files absolute: workers may run in another folder."""
    choose_timeline(options, Fraction(25))
    if options.device.startswith("cuda:") and options.device != "cuda:0":
        raise OptionError(
            f"a batch gives each worker a GPU of its own: device cuda or auto, not {options.device}"
        )
    files = {name: getattr(options, name) for name in ("vfi", "mask", "protect", "release")}
    here = {name: Path(path) for name, path in files.items() if path and Path(path).exists()}
    for name in here.keys() & {"vfi", "mask"}:
        found = find_weights(here[name])
        # A folder in this place that is called like weights is not meant.
        if here[name] not in (found, found.parent):
            del here[name]
    return Options.of(options, {name: str(path.absolute()) for name, path in here.items()})


def _sum_parts(video: _Video, states: list[dict[str, Any]], more: dict[str, float]) -> None:
    """Write into the row of a video the sums over its parts, and `more` seconds by stage."""
    row, tally, seconds = video.row, Counter[str](), Counter(more)
    for state in states:
        tally.update(state["run"]["tally"])
        seconds.update({name: spent for name, spent in state["run"]["seconds"].items() if name != "total"})
    row.static_share = tally["static"] / max(tally["gaps"], 1)
    row.computed_share = tally["computed"] / max(tally["gaps"], 1)
    for name, spent in seconds.items():
        setattr(row, f"seconds_{name}", spent)
    row.seconds = sum(seconds.values())
