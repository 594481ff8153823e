"""What is built to be installed: whole, described well, and at work without the repository."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_wheel_and_sdist_are_described_well(built):
    pytest.importorskip("twine")
    files = [str(path) for path in sorted(built.iterdir())]
    assert len(files) == 2
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_wheel_has_weights_cards_and_types_and_nothing_of_training(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "py.typed",
        "weight_files/vfi-m.safetensors",
        "weight_files/vfi-m.md",
        "weight_files/vfi-s.safetensors",
        "weight_files/static-s.safetensors",
        "weight_files/static-s.md",
    ):
        assert f"maskvfi/{name}" in names
    assert not any(name.startswith(("distill", "tests", "benchmarks")) for name in names)


def test_the_sdist_has_what_builds_and_tests_it(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    assert {
        "distill/cli.py",
        "tests/test_package.py",
        "weights/vfi-m.safetensors",
        "Makefile",
        "LICENSE",
    } <= names


def test_the_wheel_works_where_there_is_no_repository(built, tmp_path):
    """In an environment of its own, which borrows nothing but what maskvfi depends on."""
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    binaries = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    site = next((tmp_path / "venv").glob("**/site-packages"))
    installer = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "install", "--quiet"]
    subprocess.run([*installer, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    borrowed = Path(sysconfig.get_paths()["purelib"])
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(binaries / "maskvfi"), "weights", "list"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "static-s" in done.stdout
    where = [str(binaries / "python"), "-c", "import maskvfi; print(maskvfi.__file__)"]
    assert (
        str(site)
        in subprocess.run(where, capture_output=True, text=True, cwd=tmp_path, env=environment).stdout
    )
