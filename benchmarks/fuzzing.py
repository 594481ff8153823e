"""What the fuzzers share: damaged bytes, a process that a case may crash, and the count of how cases end."""

from __future__ import annotations

import json
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

SECONDS = 30  # that a case may take
MEMORY = 6 << 30  # bytes of address space, of which torch's libraries take a large part
# How the cases of a `Worker` end, and the words above the columns. The first two ends are good ones.
ENDS = {
    "made": "made",
    "refused": "refused in a line",
    "crashed": "crashed",
    "too long": "too long",
    "half file": "half files",
}


class Case(NamedTuple):
    """A random case.

    Attributes:
        request: The texts that the worker gets; the first two name files.
        given: The file or folder that is used. It is the only one in the case's folder.
        about: What more is to be said of a case that ends badly.
    """

    request: tuple[str, ...]
    given: Path
    about: str = ""


Draw = Callable[
    [str, np.random.Generator, Path], Case
]  # (source, rng, folder) -> a case with its files in the folder


def count_ends(
    script: str, sources: Sequence[str], draw: Draw, cases: int, seed: int, keep: Path | None
) -> dict[str, Counter[str]]:
    """Let a `Worker` work on random cases; the sources take turns.

    Args:
        script: What the worker runs.
        sources: Names of what the cases are made of.
        draw: Makes a case.
        cases: How many.
        seed: Equal seeds make equal cases.
        keep: A folder for what was given in cases that end badly; None keeps nothing.

    Returns:
        By source, how often each of ENDS came.
    """
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    ends: dict[str, Counter[str]] = {name: Counter() for name in sources}
    worker = Worker(script)
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers(cases):
            name = sources[number % len(sources)]
            work = Path(folder) / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            case = draw(name, np.random.default_rng((seed, number)), work)
            end, line = worker.run(*case.request)
            if end in ("refused", "crashed", "too long") and len(list(work.iterdir())) > 1:
                end = "half file"
            ends[name][end] += 1
            if end not in ("made", "refused"):
                told = ", ".join(filter(None, (name, case.about)))
                Console(stderr=True).print(f"case {number} ({told}): {end}: {line}", highlight=False)
                if keep is not None:
                    _copy(case.given, keep / f"{seed}-{number}-{name}")
        worker.stop()
    return ends


def print_ends(title: str, ends: Mapping[str, Counter[str]], columns: Mapping[str, str] = ENDS) -> None:
    """Print how the cases of each source ended. Leaves the program with exit code 1 if any ended badly.

    Args:
        title: Above the sources.
        ends: By source, how often each end came.
        columns: The words above the columns, by end. The first two ends are good ones.
    """
    table = Table(title, *columns.values())
    total = sum(ends.values(), Counter())
    for name, counts in [*ends.items(), ("all", total)]:
        table.add_row(name, *(str(counts[end]) for end in columns))
    Console().print(table)
    if sum(total[end] for end in list(columns)[:2]) < sum(total.values()):
        raise typer.Exit(1)


def numbers(cases: int) -> Iterator[int]:
    """The numbers of the cases. Ctrl-C ends them after the one at work, so that what was done is counted."""
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    for number in track(range(cases), "fuzzing", console=Console(stderr=True)):
        if stopped.is_set():
            return
        yield number


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one to eight places: flip a bit, overwrite, cut, repeat, zero or insert bytes, truncate."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 9))):
        if len(data) < 16:
            break
        # Headers are mostly at the beginning.
        reach = len(data) if rng.random() < 0.5 else min(len(data), 1024)
        at, size = int(rng.integers(reach)), int(2 ** rng.uniform(0, 10))
        kind = rng.integers(7)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at : at + 4] = bytes(rng.choice([0x00, 0x7F, 0x80, 0xFF], 4).astype(np.uint8))[
                : len(data) - at
            ]
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 5:
            data[at:at] = rng.bytes(size)
        else:
            del data[at + len(data) // 2 :]
    return bytes(data)


class Worker:
    """A process that works on one case after another. It is started again if it dies.

    Args:
        script: What it runs, with `--child`; that calls `serve`.
    """

    def __init__(self, script: str) -> None:
        self._script = script
        self._process: subprocess.Popen[str] | None = None

    def run(self, *request: str) -> tuple[str, str]:
        """Work on a case. Returns how that ended, and a line that says why."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.{Path(self._script).stem}", "--child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is not for it
            )
            assert self._process.stdout is not None
            self._process.stdout.readline()  # it has loaded everything: that is no part of a case
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        if not ready:
            self.stop()
            return "too long", f"more than {SECONDS} s"
        answer = self._process.stdout.readline()
        if not answer:
            code = self._process.wait()
            self._process = None
            return "crashed", f"exit code {code}"
        end, line = json.loads(answer)
        return end, line

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def serve(work: Callable[..., object]) -> None:
    """Work on the cases that a `Worker` sends.

    Args:
        work: Called with the texts of a case; the first ones name its files.
    """
    import maskvfi
    from maskvfi.errors import MaskvfiError

    print(maskvfi.__version__, flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            work(*request)
            answer = ["made", ""]
        except MaskvfiError as error:
            answer = ["refused", str(error)]
            if "\n" in str(error) or not any(text in str(error) for text in request[:2]):
                answer = ["crashed", f"not one line that names a file: {error!r}"]
        except BaseException:
            answer = ["crashed", traceback.format_exc()[-400:]]
        print(json.dumps(answer), flush=True)


def _copy(given: Path, target: Path) -> None:
    if given.is_dir():
        shutil.copytree(given, target, dirs_exist_ok=True)
    else:
        shutil.copy(given, target)
