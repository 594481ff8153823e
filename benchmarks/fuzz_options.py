"""Give the command odd options and file names: each must succeed, or fail in one line, within a minute.

python -m benchmarks.fuzz_options --cases 500 [--seed 0]
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

MEMORY = 6 << 30  # bytes of address space
LONGEST = 60  # seconds a case may take
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "3.5",
    "1e99",
    "-1e-99",
    "nan",
    "inf",
    "60000/1001",
    "1/0",
    "0x10",
    "٣",
    "9" * 40,
]
WORDS = [
    "",
    " ",
    "auto",
    "off",
    "fade",
    "nearest",
    "../..",
    "%s%n",
    "$(id)",
    "; id",
    "\x1b[31m",
    "文字",
    "\ud83d",
    "a" * 5000,
    "-",
]
OPTIONS = {
    "--factor": [*NUMBERS[:4], "40"],
    "--fps": NUMBERS,
    "--slow": NUMBERS,
    "--threshold": NUMBERS,
    "--scale": NUMBERS,
    "--start": NUMBERS,
    "--end": NUMBERS,
    "--crf": NUMBERS,
    "--scene-cut": NUMBERS + WORDS,
    "--codec": [*WORDS, "libx264", "aac", "ffv1", "wrapped_avframe", "rawvideo", "png"],
    "--preset": [*WORDS, "ultrafast"],
    "--vfi": [*WORDS, "blend", "vfi-s", "rife-4.25", "/dev/null", "/dev/zero", "/"],
    "--mask": [*WORDS, "static-s", "/dev/null"],
    "--device": [*WORDS, "cpu", "cuda:99", "meta", "mkldnn"],
    "--precision": [*WORDS, "fp32", "bf16", "fp16"],
    "--runtime": [*WORDS, "torch"],
    "--static": WORDS,
    "--on-cut": [*WORDS, "hold", "blend"],
    "--duplicates": [*WORDS, "keep", "resolve"],
    "--protect": [*WORDS, "/dev/null", "/"],
    "--report": [*WORDS, "/", "/dev/full"],
    "--loop": [],
    "--ensemble": [],
    "--overwrite": [],
    "--resume": [],
    "--strict": [],
}
NAMES = [
    *("out.mkv", "-out.mkv", "a b.mkv", "a\nb.mkv", "文字.mkv", "%06d.mkv", "x:y.mkv", "c" * 250 + ".mkv"),
    *("out", "out.xyz", "no/out.mkv", ""),
]


def main(
    cases: Annotated[int, typer.Option(help="How many commands.")] = 500,
    seed: Annotated[int, typer.Option(help="Equal seeds make equal commands.")] = 0,
) -> None:
    """Count how they end; exit code 1 if any ends badly."""
    import maskvfi.pipeline.run  # noqa: F401  loading torch is no part of a case

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        clip = ["-f", "lavfi", "-i", "testsrc2=size=32x32:rate=5:duration=1", "in.mkv"]
        subprocess.run(["ffmpeg", "-v", "error", *clip], check=True)
        for number in track(range(cases), "fuzzing", console=Console(stderr=True)):
            arguments = drawn(np.random.default_rng((seed, number)))
            end, printed = run(arguments)
            gc.collect()  # the command does so once in a million objects; FFmpeg's threads would pile up here
            ends[end] += 1
            if end == "crashed":
                print(f"case {number}: {[word[:80] for word in arguments]}: {printed}", file=sys.stderr)
            for left in Path().iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
                elif left.name != "in.mkv":
                    left.unlink()
    table = Table("cases", "made", "refused in a line", "crashed or over a minute")
    table.add_row(str(cases), *(str(ends[end]) for end in ("made", "refused", "crashed")))
    Console().print(table)
    if ends["crashed"]:
        raise typer.Exit(1)


def drawn(rng: np.random.Generator) -> list[str]:
    """Draw a command with one to three options."""
    chosen = rng.choice(list(OPTIONS), int(rng.integers(1, 4)), replace=False)
    given = [
        str(part)
        for name in chosen
        for part in (name, *([rng.choice(OPTIONS[name])] if OPTIONS[name] else []))
    ]
    quick = [] if "--vfi" in given else ["--vfi", "blend"]
    quick += [] if "--mask" in given else ["--mask", "off"]
    return ["interpolate", *quick, *given, "--", "in.mkv", str(rng.choice(NAMES))]


def run(arguments: list[str]) -> tuple[str, str]:
    """Run the command. Returns how it ended, and what it printed."""
    from maskvfi.cli import console, main

    printed = io.StringIO()
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST)
    try:
        with (
            patch.object(sys, "argv", ["maskvfi", *arguments]),
            patch.object(console, "console", Console(file=printed, width=10000)),
            patch.object(main, "console", Console(file=printed, width=10000)),
            contextlib.redirect_stderr(printed),
            contextlib.redirect_stdout(printed),
        ):
            main.main()
    except SystemExit as end:
        if end.code in (0, None, 3):
            return "made", printed.getvalue()
        lines = [line for line in printed.getvalue().splitlines() if line.startswith("maskvfi: ")]
        return ("refused" if end.code == 2 and len(lines) == 1 else "crashed"), printed.getvalue()
    except BaseException:
        return "crashed", traceback.format_exc()[-600:]
    finally:
        signal.alarm(0)
    return "made", printed.getvalue()


class TooLong(BaseException):
    """A case takes too long. It is no OSError, as TimeoutError is: the command would turn that into a line."""


def _too_long(number: int, frame: object) -> None:
    raise TooLong(f"it took more than {LONGEST} s")


if __name__ == "__main__":
    typer.run(main)
