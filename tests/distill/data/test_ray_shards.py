"""Shards made by Ray's workers are those that one process makes, whatever is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from commands import run

from distill.data.labels import label_tuples
from distill.data.prepare import Recipe, prepare
from distill.data.teachers import Dis

pytest.importorskip("ray")
SCALE = 2.0  # takes long enough to be killed


@pytest.fixture
def data(shards, tmp_path, monkeypatch) -> Path:
    """Eight shards of a tuple each."""
    monkeypatch.setattr("distill.data.prepare.PER_SHARD", 1)
    assert prepare(shards.parent, tmp_path / "data", Recipe(8)) == 8
    return tmp_path / "data"


def distill(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "distill", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def label(data: Path, *more: str) -> subprocess.Popen[str]:
    return distill("label", "--data", data, "--ray", *more)


def made(data: Path, prefix: str = "labels") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.glob(f"{prefix}-*.tar")}


def wait_until(happened: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def workers(process: int) -> Iterator[int]:
    """The workers under a process, by id."""
    with suppress(OSError):  # it may end meanwhile
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            if b"Hand" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield int(child)
            yield from workers(int(child))


@pytest.mark.skipif(sys.platform != "linux", reason="finds Ray's workers in /proc")
def test_a_killed_run_and_a_killed_worker_lose_nothing_and_leave_nothing_half_done(data, tmp_path):
    shutil.copytree(data, tmp_path / "alone")
    assert label_tuples(tmp_path / "alone", Dis(), scale=SCALE) == 32
    expected = made(tmp_path / "alone")

    # As a run leaves it that is killed while it writes the second.
    finished = ["labels-00000.tar"]
    shutil.copy(tmp_path / "alone" / finished[0], data)
    stored = {name: (data / name).stat().st_ino for name in finished}
    unfinished = data / ".labels-00001.0123abcd.partial.tar"
    unfinished.write_bytes(b"half")

    process = label(data, "--scale", str(SCALE))
    wait_until(lambda: any(workers(process.pid)) and len(made(data)) > len(finished))
    os.kill(next(workers(process.pid)), signal.SIGKILL)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert made(data) == expected
    assert not unfinished.exists()
    assert {name: (data / name).stat().st_ino for name in stored} == stored
    assert len(said.splitlines()) == 1, said  # nothing of Ray's own


def test_videos_are_cut_as_by_one_process_and_what_is_cut_is_kept(shards, tmp_path):
    """Four videos, one of them in a folder under the name of another."""
    clips, out = tmp_path / "clips", tmp_path / "data"
    for name in ("a.avi", "b.avi", "c.avi", "more/a.avi"):
        (clips / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shards.parent / "clip.avi", clips / name)
    assert prepare(clips, tmp_path / "alone", Recipe(16, size=128)) == 16
    expected = made(tmp_path / "alone", "tuples")
    assert len(expected) == 4

    # As a run leaves it that ends after two of four.
    shutil.copytree(tmp_path / "alone", out)
    for name in sorted(expected)[::2]:
        (out / name).unlink()
    stored = {name: (out / name).stat().st_ino for name in made(out, "tuples")}
    options = ("--clips", clips, "--pictures", shards.parent / "pictures", "--out", out, "--ray")
    process = distill("prepare", *options, "--tuples", "16", "--size", "128")
    said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "16 tuples" in said
    assert made(out, "tuples") == expected
    assert {name: (out / name).stat().st_ino for name in stored} == stored

    assert prepare(clips, out, Recipe(12, size=128)) == 12  # another plan: nothing of the old one stays
    assert all(made(out, "tuples")[name] != shard for name, shard in expected.items())


def test_a_cluster_that_is_not_there_is_one_line(shards):
    process = label(shards, "--address", "127.0.0.1:1")
    said = process.communicate()[1]
    assert process.returncode == 2
    assert said.startswith("distill: 127.0.0.1:1: cannot connect to a Ray cluster there (")
    assert said.count("\n") == 1


def test_without_ray_one_line_says_what_to_install(shards):
    code = "import sys; sys.modules['ray'] = None; from distill.cli import main; main()"
    done = run("label", "--data", shards, "--ray", code=code)
    assert done.returncode == 2
    assert done.stderr.startswith(b"distill: work on Ray needs Ray ")
    assert done.stderr.count(b"\n") == 1
