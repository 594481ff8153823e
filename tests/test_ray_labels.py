"""Labels made by Ray's workers are those that one process makes, whatever is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distill.clips import prepare
from distill.labels import label_tuples
from distill.teachers import Dis

pytest.importorskip("ray")
SCALE = 2.0  # takes long enough to be killed


@pytest.fixture
def data(shards, tmp_path, monkeypatch) -> Path:
    """Eight shards of a tuple each."""
    monkeypatch.setattr("distill.clips.TUPLES_PER_SHARD", 1)
    assert prepare(shards.parent, tmp_path / "data", tuples=8) == 8
    return tmp_path / "data"


def label(data: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "distill", "label", "--data", str(data), "--ray", *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def made(data: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data.glob("labels-*.tar")}


def wait_until(happened: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def workers(process: int) -> Iterator[int]:
    """The labelling workers under a process, by id."""
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        if b"Labeller" in Path(f"/proc/{child}/cmdline").read_bytes():
            yield int(child)
        yield from workers(int(child))


@pytest.mark.skipif(sys.platform != "linux", reason="finds Ray's workers in /proc")
def test_a_killed_run_and_a_killed_worker_lose_nothing_and_leave_nothing_half_done(data, tmp_path):
    shutil.copytree(data, tmp_path / "alone")
    assert label_tuples(tmp_path / "alone", Dis(), scale=SCALE) == 32
    expected = made(tmp_path / "alone")

    first = label(data, "--scale", str(SCALE))
    wait_until(lambda: len(made(data)) >= 1)
    first.kill()
    first.wait()
    finished = made(data)
    assert 0 < len(finished) < len(expected)
    assert all(expected[name] == labels for name, labels in finished.items())
    stored = {name: (data / name).stat().st_ino for name in finished}

    second = label(data, "--scale", str(SCALE))
    wait_until(lambda: any(workers(second.pid)) and any(data.glob("*.part")))
    os.kill(next(workers(second.pid)), signal.SIGKILL)
    said = second.communicate()[1]
    assert second.returncode == 0, said
    assert made(data) == expected
    assert {name: (data / name).stat().st_ino for name in stored} == stored
    assert len(said.splitlines()) == 1, said  # nothing of Ray's own


def test_a_cluster_that_is_not_there_is_one_line(data):
    process = label(data, "--address", "127.0.0.1:1")
    said = process.communicate()[1]
    assert process.returncode == 2
    assert said.startswith("distill: cannot join the Ray cluster at 127.0.0.1:1: ")
    assert said.count("\n") == 1


def test_without_ray_one_line_says_what_to_install(data):
    code = "import sys; sys.modules['ray'] = None; from distill.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "label", "--data", str(data), "--ray"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("distill: --ray needs Ray ")
    assert done.stderr.count("\n") == 1
