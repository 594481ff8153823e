"""What the documentation says can be done: its commands are run, its code is run, its pages are current."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import make_clip
from commands import run
from typer.testing import CliRunner

from maskvfi.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
RUN_ELSEWHERE = ("make ", "pip ", "PIP_EXTRA_INDEX_URL=", "accelerate ", "tensorboard ")
# These have tests of their own.
LONG = ("maskvfi batch", "maskvfi bench", "maskvfi demo", "maskvfi ui", "maskvfi weights get")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page: Path) -> list[str]:
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    return [line.split(" #")[0].strip() for line in text.splitlines() if line.strip()]


def has_commands(page: Path) -> bool:
    return any(line.startswith(("maskvfi", "python")) for line in commands(page))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with small files of the names that the pages use."""
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "in.mp4", times=4, audio="aac", size=(64, 48))
    shutil.copy(tmp_path / "in.mp4", tmp_path / "film.mp4")
    make_clip(tmp_path / "film.mkv", times=4, audio="aac", size=(64, 48))
    for name in ("a.png", "b.png", "hud.png", "face.png", "mask.png"):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 90, np.uint8))
    (tmp_path / "drawings").mkdir()
    for n in range(3):
        shutil.copy(tmp_path / "a.png", tmp_path / "drawings" / f"{n}.png")
    return tmp_path


_done: set[str] = set()  # commands that another page has, too


@pytest.mark.parametrize("page", [page for page in PAGES if has_commands(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, folder):
    for line in commands(page):
        if line in _done:
            continue
        _done.add(line)
        words = shlex.split(line)
        if words[0] == "maskvfi" and not needs_weights(words) and not line.startswith(LONG):
            if "--resume" in words:  # the run before it was killed, says the page
                Path(words[3]).unlink(missing_ok=True)
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception}"
        elif words[0] in ("maskvfi", "python"):
            check_options(words)
        else:
            assert line.startswith(RUN_ELSEWHERE), line


def needs_weights(words: list[str]) -> bool:
    return any(word in ("flownet.pkl", "train_log.zip", "4.25") or word.startswith("rife-") for word in words)


@cache
def help_of(module: str, *names: str) -> str | None:
    """What a command prints of its options; None if there is no such command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        done = run(*names, "--help", module=module, cwd=ROOT)
    return None if done.returncode else done.stdout.decode()


def check_options(words: list[str]) -> None:
    """That a command too long for a test has the options that the page gives it."""
    if words[0] == "python" and words[1] != "-m":
        assert (ROOT / words[1]).is_file(), words[1]
        said = (ROOT / words[1]).read_text(encoding="utf-8").replace("_", "-")
        assert all(word[2:].replace("_", "-") in said for word in words if word.startswith("--")), words
        return
    module, rest = ("maskvfi.cli", words[1:]) if words[0] == "maskvfi" else (words[2], words[3:])
    names = []
    while rest and re.fullmatch(r"[a-z]+(-[a-z]+)*", rest[0]) and len(names) < 2:
        if help_of(module, *names, rest[0]) is None:
            break
        names.append(rest.pop(0))
    shown = help_of(module, *names)
    assert shown is not None, words
    for word in rest:
        known = re.search(rf"{re.escape(word)}(?![\w-])", shown)
        assert not word.startswith("--") or known, f"{' '.join(words)}: no {word}"


def test_the_recipes_run(folder):
    code = "\n".join(blocks(ROOT / "docs" / "python.md", "python"))
    exec(compile(code, "docs/python.md", "exec"), {})
    assert (folder / "twice.mkv").exists()


def test_the_first_page_in_python_runs(folder):
    frames = {"img0": torch.rand(1, 3, 48, 64), "img1": torch.rand(1, 3, 48, 64)}
    exec(compile("\n".join(blocks(ROOT / "README.md", "python")), "README.md", "exec"), frames)
    assert (folder / "out.mkv").exists()
    assert frames["middle"].shape == frames["out"].frame.shape == (1, 3, 48, 64)


def test_the_page_of_options_is_current(tmp_path):
    made = tmp_path / "commands.md"
    write = ("maskvfi.cli.main", "utils", "docs", "--name", "maskvfi", "--output", made)
    assert run(*write, module="typer", cwd=ROOT).returncode == 0
    assert made.read_text() == (ROOT / "docs" / "commands.md").read_text(), "run: make docs"


def test_the_page_of_files_is_current(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=lambda _, names: set(names) - {"files.py"})
    for room in ("maskvfi", "distill"):
        (tmp_path / room).symlink_to(ROOT / room)
    subprocess.run([sys.executable, str(tmp_path / "docs" / "files.py")], check=True)
    made = (tmp_path / "docs" / "files.md").read_text(encoding="utf-8")
    assert made == (ROOT / "docs" / "files.md").read_text(encoding="utf-8"), "run: make docs"


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("material")
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, capture_output=True, text=True, cwd=ROOT, env=quiet)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "site" / "comparison" / "index.html").exists()
