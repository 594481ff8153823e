"""batch(): videos in, smoother ones out, by many workers."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from maskvfi.batch.jobs import Job, find_jobs
from maskvfi.batch.results import Row, Table
from maskvfi.batch.segments import Made, Part, join
from maskvfi.batch.storage import deliver, exists, fetched, local_path, workshop
from maskvfi.batch.workers import MAX_RETRIES, Workers, answers, cluster
from maskvfi.errors import MaskvfiError, MediaError
from maskvfi.options import Options
from maskvfi.paths import PathLike
from maskvfi.pipeline.run import Report, choose_timeline
from maskvfi.video import muxer
from maskvfi.video.journal import Journal, kept_facts

PATIENCE = 0.2  # seconds between looks at what does not report by itself


@dataclass(slots=True)
class Summary:
    """How far a batch is: videos by status; parts and output frames, made in this run and known of so far; lost: how
    many workers died and were replaced; workers: the processes of those that live, as (machine, id).
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
    """A video on its way: surveyed, made in parts, joined."""

    job: Job
    row: Row
    made_at: Path = Path()
    facts: dict[str, Any] = field(default_factory=dict)
    journal: Journal | None = None
    surveyed: bool = False
    joining: Future[list[str]] | None = None

    @property
    def source(self) -> str:
        """As workers find it, which may be in another folder."""
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
    """Raise the frame rate of many videos, with many workers; frames are those that `interpolate` makes.

    Videos are cut into segments of about 120 frames, one task each. Those that are made are kept beside the target
    until it is whole (in the cache folder for a target elsewhere), so that after an interruption the same call makes
    only the rest.

    Args:
        sources: Videos, folders, patterns and CSV tables, see `find_jobs`; also addresses that fsspec knows.
        out: The folder for the results, or such an address.
        workers: By default one for every GPU, else for every four cores of a machine.
        address: That of a Ray cluster; by default Ray runs here, for as long as this lasts.
        overwrite: Replace targets that exist; else they stay, and count as finished.
        result: A .csv or .parquet with the rows that are returned, written anew after each video.
        progress: Called with how far the batch is.
        options: How; `maskvfi.Options` lists them.
        **fields: Options by name, in place of those in `options`.

    Returns:
        A row for every video; one that cannot be made has the status "failed".

    Raises:
        MediaError, WeightsError, OptionError, OSError: One line for what concerns all videos.
    """
    options = _checked(Options.of(options, fields))
    jobs = find_jobs([os.fspath(source) for source in sources], os.fspath(out))
    table = Table(result) if result is not None else None
    videos = [_looked_at(job, overwrite) for job in jobs]
    if any(video.open for video in videos):
        with cluster(address) as passing, Workers(options, workers, passing) as started:
            _Batch(videos, options, started, overwrite, table, progress).run()
    rows = [video.row for video in videos]
    if table is not None:
        table.write(rows)
    return rows


class _Batch:
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
        self._coming = deque(video for video in videos if video.open)
        self._idle = list(workers.actors)
        self._parts: deque[tuple[_Video, Part]] = deque()
        self._surveys: dict[Any, _Video] = {}
        self._making: dict[Any, tuple[_Video, Any, Part]] = {}
        self._joins = ThreadPoolExecutor(1, "maskvfi-join")
        self._parts_made = self._parts_known = self._frames_made = self._frames_known = self._lost = 0

    def run(self) -> None:
        try:
            self._tell()
            while any(video.open for video in self._videos):
                self._hand_out()
                self._wait()
                for video in self._videos:
                    if video.joining is not None and video.joining.done() and video.open:
                        self._joined(video, video.joining)
                self._tell()
        except KeyboardInterrupt:
            done = sum(not video.open for video in self._videos)
            raise KeyboardInterrupt(
                f"{done} of {len(self._videos)} videos are finished, the same command goes on"
            ) from None
        finally:
            self._joins.shutdown(cancel_futures=True)
            for video in self._videos:
                if video.open and video.journal is not None:
                    video.journal.leave()

    def _hand_out(self) -> None:
        while self._idle and self._parts:
            video, part = self._parts.popleft()
            worker = self._idle.pop()
            made = self._workers.make(worker, video.source, video.suffix, part)
            self._making[made] = video, worker, part
        room = len(self._workers.actors)
        while self._coming and len(self._surveys) < room and len(self._parts) < room:
            self._begin(self._coming.popleft())

    def _begin(self, video: _Video) -> None:
        try:
            video.made_at = workshop(video.job.target)
        except OSError as error:
            self._fail(video, error)
            return
        before = kept_facts(video.made_at).get("at_once", 0)  # of the parts that an earlier run left
        survey = self._workers.survey(video.source, video.suffix, muxer.SEGMENT, before)
        self._surveys[survey] = video

    def _wait(self) -> None:
        # A survey whose parts nobody can take yet is left alone, and so stays a few parts ahead.
        hungry = len(self._parts) < 2 * len(self._workers.actors)
        awaited = [*self._making, *(self._surveys if hungry else ())]
        if not awaited:
            time.sleep(PATIENCE)
            return
        ready, _ = ray.wait(awaited, num_returns=1, timeout=PATIENCE)
        for reference in ready:
            if reference in self._making:
                self._made(reference, *self._making.pop(reference))
            else:
                self._surveyed(reference, self._surveys[reference])

    def _surveyed(self, survey: Any, video: _Video) -> None:
        """The next thing that the survey of a video has found."""
        try:
            found = answers(next(survey))
            if isinstance(found, Part):
                self._take(video, found)
            elif isinstance(found, Report):
                video.surveyed = True
                for name in ("frames_in", "frames_out", "cuts", "duplicates", "device", "runtime"):
                    setattr(video.row, name, getattr(found, name))
                video.row.precision, video.row.damage = found.precision, found.damage
                video.row.warnings = "; ".join(found.warnings)
                video.row.seconds_survey = found.seconds["survey"]
                self._join_if_whole(video)
            else:
                video.facts = found
                video.journal = self._journal(video)
        except StopIteration:
            del self._surveys[survey]
        except Exception as error:
            del self._surveys[survey]
            self._fail(video, error)

    def _journal(self, video: _Video) -> Journal:
        try:
            return Journal(video.made_at, video.facts, resume=True, overwrite=self._overwrite)
        except MediaError:
            if not self._overwrite:
                raise
            return Journal(video.made_at, video.facts, resume=False, overwrite=True)

    def _take(self, video: _Video, part: Part) -> None:
        assert video.journal is not None
        video.row.parts += 1
        if part.number in video.journal.numbers:
            video.row.parts_kept += 1
        elif video.open:
            self._parts.append((video, part))
            self._parts_known += 1
            self._frames_known += part.length

    def _made(self, reference: Any, video: _Video, worker: Any, part: Part) -> None:
        self._idle.append(worker)
        try:
            made, process = answers(reference)
        except RayError:
            self._fail(video, RuntimeError(f"{MAX_RETRIES + 1} workers were lost over part {part.number}"))
            return
        except Exception as error:
            self._fail(video, error)
            return
        self._lost += process != self._workers.processes[worker]
        self._workers.processes[worker] = process
        if video.open:
            self._keep(video, part, made)

    def _keep(self, video: _Video, part: Part, made: Made) -> None:
        assert video.journal is not None
        state = {"run": {"tally": made.tally, "seconds": made.seconds}, "writer": part.end}
        try:
            video.journal.put(part.number, made.packets, part.frames, state)
        except OSError as error:
            self._fail(video, error)
            return
        self._parts_made += 1
        self._frames_made += part.length
        if made.warnings:
            video.row.warnings = "; ".join({*filter(None, [video.row.warnings]), *made.warnings})
        self._join_if_whole(video)

    def _join_if_whole(self, video: _Video) -> None:
        if video.open and video.surveyed and video.journal and len(video.journal.numbers) == video.row.parts:
            video.joining = self._joins.submit(self._join, video)

    def _join(self, video: _Video) -> list[str]:
        """In a thread of its own."""
        assert video.journal is not None
        states, began = video.journal.states(), time.perf_counter()
        video.journal.leave()  # to the writer that joins
        with fetched(video.source) as source:
            warnings = join(source, video.made_at, self._options, video.facts, self._overwrite)
        deliver(video.made_at, video.job.target)
        spent = {"survey": video.row.seconds_survey, "join": time.perf_counter() - began}
        _summed(video, states, spent)
        return warnings

    def _joined(self, video: _Video, joining: Future[list[str]]) -> None:
        try:
            warnings = [*filter(None, [video.row.warnings]), *joining.result()]
        except Exception as error:
            self._fail(video, error)
            return
        video.row.warnings = "; ".join(warnings)
        video.row.status = "done"
        self._write_table()

    def _fail(self, video: _Video, error: Exception) -> None:
        video.row.error = _line(error)
        self._parts = deque(waiting for waiting in self._parts if waiting[0] is not video)
        if video.journal is not None:
            video.journal.leave()
        video.row.status = "failed"
        self._write_table()

    def _write_table(self) -> None:
        if self._table is not None:
            self._table.write([each.row for each in self._videos])

    def _tell(self) -> None:
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


def _looked_at(job: Job, overwrite: bool) -> _Video:
    """A video, and whether there is anything to do."""
    video = _Video(job, Row(job.source, job.target))
    source, target = local_path(job.source), local_path(job.target)
    try:
        if source and target and source.exists() and target.exists() and source.samefile(target):
            raise MediaError(f"{job.target}: is the input itself")
        if source and not source.exists():
            raise MediaError(f"{job.source}: no such file")
        if exists(job.target) and not overwrite:
            video.row.status = "exists"
    except (MediaError, OSError) as error:
        video.row.status, video.row.error = "failed", _line(error)
    return video


def _line(error: Exception) -> str:
    line = " ".join(str(error).split()) or "failed"
    expected = isinstance(error, MaskvfiError | OSError)
    return line if expected else f"{type(error).__name__}: {line}"


def _checked(options: Options) -> Options:
    """Options for workers, which may be in another folder: what is a file here is named by its whole path."""
    choose_timeline(options, Fraction(25))
    files = {name: getattr(options, name) for name in ("vfi", "mask", "protect", "release")}
    here = {name: str(Path(path).absolute()) for name, path in files.items() if path and Path(path).exists()}
    return Options.of(options, here)


def _summed(video: _Video, states: list[dict[str, Any]], more: dict[str, float]) -> None:
    """What was done of a video in all its parts, and `more` seconds, into its row."""
    row, tally, seconds = video.row, Counter[str](), Counter(more)
    for state in states:
        tally.update(state["run"]["tally"])
        seconds.update({name: spent for name, spent in state["run"]["seconds"].items() if name != "total"})
    row.static_share = tally["static"] / max(tally["gaps"], 1)
    row.computed_share = tally["computed"] / max(tally["gaps"], 1)
    for name, spent in seconds.items():
        setattr(row, f"seconds_{name}", spent)
    row.seconds = sum(seconds.values())
