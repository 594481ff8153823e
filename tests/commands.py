"""A program in a process of its own, which is born with the large libraries loaded.

Importing torch takes a process two seconds, and the tests start a hundred of them.
Two things differ from `python -m`: nothing runs at the interpreter's exit, and what libraries read from the environment
when they are loaded (OMP_NUM_THREADS) is that of the tests.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LIBRARIES = ["av", "cv2", "numpy", "rich.progress", "safetensors.torch", "scenedetect", "torch", "typer"]
# Elsewhere a process that has used its libraries must not be forked.
_context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
if sys.platform == "linux":
    _context.set_forkserver_preload(LIBRARIES)


def run(
    *arguments: object,
    module: str = "maskvfi.cli",
    code: str | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m module` or `python -c code` with these arguments, and wait for it.

    Args:
        *arguments: The words after the module or the code.
        module: The module.
        code: Code to run instead.
        stdin: What it can read.
        cwd: The folder it runs in; that of the tests if None.

    Returns:
        The exit code, and what it wrote.

    Raises:
        subprocess.TimeoutExpired: It took more than five minutes.
    """
    words = [module if code is None else "-c", *map(str, arguments)]
    with TemporaryDirectory() as folder:
        given, out, err = (Path(folder, name) for name in ("in", "out", "err"))
        given.write_bytes(stdin)
        out.touch()
        err.touch()
        process = _context.Process(
            target=_begin, args=(words, code, (given, out, err), cwd or Path.cwd(), dict(os.environ))
        )
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, 300, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(words, process.exitcode, out.read_bytes(), err.read_bytes())


def _begin(
    words: list[str], code: str | None, files: tuple[Path, Path, Path], cwd: Path, environment: dict[str, str]
) -> None:
    """What runs in the new process."""
    for number, (file, way) in enumerate(zip(files, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        opened = os.open(file, way | getattr(os, "O_BINARY", 0))
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = words
    sys.path[:] = [str(cwd), *(path for path in sys.path if path != str(Path(__file__).parent))]
    if code is None:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        exec(compile(code, "-c", "exec"), {"__name__": "__main__"})
