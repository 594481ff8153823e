"""The command line in a process of its own, which is born with the large libraries loaded.

Importing torch takes a process two seconds, and the tests start a hundred of them.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LIBRARIES = ["av", "cv2", "numpy", "rich.progress", "safetensors.torch", "scenedetect", "torch", "typer"]
KIND = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_context = multiprocessing.get_context(KIND)
if KIND == "forkserver":
    _context.set_forkserver_preload(LIBRARIES)


def run(
    *arguments: object, stdin: bytes = b"", cwd: Path | None = None, module: str = "maskvfi.cli"
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m maskvfi.cli` with these arguments, and wait for it.

    Args:
        *arguments: The words of the command.
        stdin: What it can read.
        cwd: The folder it runs in; that of the tests if None.
        module: Another module to run.

    Returns:
        The exit code, and what it wrote.
    """
    words = [module, *map(str, arguments)]
    with TemporaryDirectory() as folder:
        places = [Path(folder, name) for name in ("in", "out", "err")]
        places[0].write_bytes(stdin)
        process = _context.Process(
            target=_begin, args=(module, words, places, cwd or Path.cwd(), dict(os.environ))
        )
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            process.join()
        return subprocess.CompletedProcess(
            words, process.exitcode, places[1].read_bytes(), places[2].read_bytes()
        )


def _begin(module: str, words: list[str], places: list[Path], cwd: Path, environment: dict[str, str]) -> None:
    """What runs in the new process."""
    for number, (place, flags) in enumerate(
        zip(places, (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        os.dup2(os.open(place, flags, 0o600), number)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = words
    sys.path.insert(0, str(cwd))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
