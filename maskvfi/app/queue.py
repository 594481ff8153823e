"""The queue of one visitor: videos that are made one after the other."""

from __future__ import annotations

import base64
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2

from maskvfi.app.previews import shown
from maskvfi.errors import StoppedError
from maskvfi.pipeline.preview import rgb_of
from maskvfi.pipeline.reading import OnFrame, Progress
from maskvfi.pipeline.report import Report
from maskvfi.video import Frame, SourceInfo

WAITING, WORKING, DONE, CANCELLED, FAILED = "waiting", "working", "done", "cancelled", "failed"
PICTURE_INTERVAL = 1.0  # seconds between two pictures of the frame in progress
PICTURE_WIDTH = 640  # px
LEAVE_TIMEOUT = 30  # seconds to wait for the frames in progress when a visitor leaves

Make = Callable[[Path, Progress, OnFrame], Report]


class Cancelled(Exception):
    """The visitor has stopped a job."""


class Job:
    """One video to be made.

    Args:
        name: What the visitor calls it.
        inputs: Its files; their folders are left out of what is said.
        make: Makes the video in a folder, and calls what reports the progress and watches the frames.

    Attributes:
        state: WAITING, WORKING, DONE, CANCELLED or FAILED.
        line: What became of it.
        done, total: How many source frames were read, and how many there are (None if unknown).
        picture: The frame in progress as a data URI, or "".
        output: The result, or None.
    """

    def __init__(self, name: str, inputs: Sequence[Path], make: Make) -> None:
        self.name = name
        self.state, self.line, self.picture = WAITING, "", ""
        self.done = 0
        self.total: int | None = None
        self.output: Path | None = None
        self._inputs, self._make = inputs, make
        self._folder: Path | None = None
        self._stop = threading.Event()
        self._began = self._pictured = 0.0

    @property
    def seconds(self) -> float:
        """How long it has been in progress."""
        return time.monotonic() - self._began if self.state == WORKING else 0.0

    def work(self, root: Path) -> None:
        """Make the video in a new folder. Whatever goes wrong becomes `line`, and no file is left.

        Args:
            root: Where the folder is made.
        """
        self._began = time.monotonic()
        self.state = WORKING
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="result-", dir=root))
            report = self._make(self._folder, self._step, self._show)
            self.output = Path(report.output)
            self._end(DONE, summary(report))
        except Cancelled:
            self._end(CANCELLED, "Cancelled; nothing was written.")
        except StoppedError as error:  # the frames that it kept are deleted, as all that is not whole
            self._end(FAILED, str(error.__cause__))
        except (ValueError, OSError) as error:
            self._end(FAILED, str(error))
        except Exception as error:  # a job that fails must not take the others with it
            traceback.print_exc()
            self._end(FAILED, f"{self.name}: {type(error).__name__}: {error}")

    def cancel(self) -> None:
        """Stop it, also if it has not begun; what has ended stays."""
        self._stop.set()
        if self.state == WAITING:
            self._end(CANCELLED, "Cancelled; nothing was written.")

    def drop(self) -> None:
        """Delete its files."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, state: str, line: str) -> None:
        if state != DONE:
            self.drop()
        for folder in (*(path.parent for path in self._inputs), self._folder):
            if folder is not None:
                line = line.replace(f"{folder}/", "")
        self.line = "\n".join(" ".join(each.split()) for each in line.splitlines())
        self.picture, self.state = "", state

    def _step(self, done: int, total: int | None) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.done, self.total = done, total

    def _show(self, frame: Frame, info: SourceInfo) -> None:
        if self._stop.is_set():
            raise Cancelled
        if time.monotonic() - self._pictured >= PICTURE_INTERVAL:
            self.picture = _data_uri(frame, info)
            self._pictured = time.monotonic()


class Queue:
    """The jobs of one visitor.

    Args:
        root: The folder in which every result gets a folder.

    Attributes:
        jobs: All of them, in the order in which they were added.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.jobs: list[Job] = []
        self._turn = threading.Lock()
        self._changing = threading.Lock()  # of the list, which is replaced: others may be reading it

    @property
    def busy(self) -> bool:
        """Whether a job is in progress or waits."""
        return any(job.state in (WAITING, WORKING) for job in self.jobs)

    @property
    def ended(self) -> bool:
        """Whether a job has ended."""
        return any(job.state not in (WAITING, WORKING) for job in self.jobs)

    @property
    def results(self) -> list[Path]:
        """The videos that were made and are still there."""
        return [job.output for job in self.jobs if job.output is not None and job.output.is_file()]

    def add(self, jobs: Sequence[Job]) -> None:
        """Put jobs at the end."""
        with self._changing:
            self.jobs = [*self.jobs, *jobs]

    def work(self) -> Iterator[Job]:
        """Do what waits, also what is added meanwhile. Yields every job that has ended."""
        while True:
            with self._turn:
                job = next((job for job in self.jobs if job.state == WAITING), None)
                if job is None:
                    return
                job.work(self._root)
            yield job

    def cancel_one(self) -> None:
        """Stop the job in progress; if there is none, the next one."""
        at_hand = [job for state in (WORKING, WAITING) for job in self.jobs if job.state == state]
        if at_hand:
            at_hand[0].cancel()

    def cancel_all(self) -> None:
        """Stop the job in progress and those that wait."""
        for job in reversed(self.jobs):
            job.cancel()

    def clear(self) -> None:
        """Forget the jobs that have ended, and delete their results."""
        with self._changing:
            ended = [job for job in self.jobs if job.state not in (WAITING, WORKING)]
            self.jobs = [job for job in self.jobs if job not in ended]
        for job in ended:
            job.drop()

    def close(self) -> None:
        """Stop everything, and delete all files."""
        self.cancel_all()
        if self._turn.acquire(timeout=LEAVE_TIMEOUT):
            self._turn.release()
        for job in self.jobs:
            job.drop()


def summary(report: Report) -> str:
    """Describe a run in a few lines."""
    return "\n".join([report.summary, *report.warnings, *filter(None, [report.damage])])


def _data_uri(frame: Frame, info: SourceInfo) -> str:
    """A frame as a small JPEG inside a data URI, so that no file is left of it."""
    picture = shown(rgb_of(frame, info))
    height, width = picture.shape[:2]
    if width > PICTURE_WIDTH:
        size = PICTURE_WIDTH, max(1, round(height * PICTURE_WIDTH / width))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
