"""Damage real files at random and interpolate them: each must succeed, or fail in one line and leave no file behind.

python benchmarks/fuzz_media.py --cases 2000 [--seed 0] [--keep FOLDER]
"""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

SECONDS = 30  # that a case may take
MEMORY = 6 << 30  # bytes of address space, of which torch's libraries take a large part
SOURCES = {
    "h264.mp4": "-c:v libx264 -bf 2 -c:a aac",
    "hevc.mkv": "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le -c:a flac",
    "vp9.webm": "-c:v libvpx-vp9 -c:a libopus",
    "prores.mov": "-c:v prores_ks -c:a pcm_s16le",
    "mpeg2.ts": "-c:v mpeg2video -c:a mp2",
    "mjpeg.avi": "-c:v mjpeg -c:a pcm_s16le",
    "gif.gif": "-an",
    "raw.y4m": "-pix_fmt yuv420p -an",
}


def main(
    cases: Annotated[int, typer.Option(help="How many files.")] = 2000,
    seed: Annotated[int, typer.Option(help="Equal seeds damage alike.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Where files that went wrong are kept.")] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Count how the cases end; exit code 1 if any ends badly."""
    if child:
        serve(_interpolate)
        return
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    ends: dict[str, Counter[str]] = {name: Counter() for name in SOURCES}
    with tempfile.TemporaryDirectory() as folder:
        whole = _make_sources(Path(folder))
        worker = Worker(__file__)
        for number in numbers(cases):
            name = list(SOURCES)[number % len(SOURCES)]
            rng = np.random.default_rng((seed, number))
            work = Path(folder) / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            source = work / f"case{Path(name).suffix}"
            source.write_bytes(damaged(whole[name], rng))
            end, line = worker.run(str(source), str(work / "out.mkv"))
            if end in ("refused", "crashed", "too long") and len(list(work.iterdir())) > 1:
                end = "half file"
            ends[name][end] += 1
            if end not in ("made", "refused"):
                Console(stderr=True).print(f"case {number} ({name}): {end}: {line}", highlight=False)
                if keep is not None:
                    shutil.copy(source, keep / f"{seed}-{number}-{name}")
        worker.stop()
    table = Table("source", "made", "refused in a line", "crashed", "too long", "half files")
    total = sum(ends.values(), Counter())
    for name, counts in [*ends.items(), ("all", total)]:
        kinds = ("made", "refused", "crashed", "too long", "half file")
        table.add_row(name, *(str(counts[kind]) for kind in kinds))
    Console().print(table)
    if total["made"] + total["refused"] < sum(total.values()):
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


def _make_sources(folder: Path) -> dict[str, bytes]:
    made = {}
    for name, options in SOURCES.items():
        path = folder / name
        video = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=12:duration=0.7"]
        sound = ["-f", "lavfi", "-i", "sine=duration=0.7"]
        subprocess.run(["ffmpeg", "-v", "error", *video, *sound, *options.split(), path], check=True)
        made[name] = path.read_bytes()
    return made


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
                [sys.executable, self._script, "--child"],
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
    from maskvfi.video import MediaError

    print(maskvfi.__version__, flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            work(*request)
            answer = ["made", ""]
        except (MediaError, ValueError) as error:
            answer = ["refused", str(error)]
            if "\n" in str(error) or not any(text in str(error) for text in request[:2]):
                answer = ["crashed", f"not one line that names a file: {error!r}"]
        except BaseException:
            answer = ["crashed", traceback.format_exc()[-400:]]
        print(json.dumps(answer), flush=True)


def _interpolate(source: str, target: str) -> None:
    import maskvfi

    maskvfi.interpolate(source, target, vfi="blend", mask=None, device="cpu")


if __name__ == "__main__":
    typer.run(main)
