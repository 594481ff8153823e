"""Fixtures that more than one test file uses."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from maskvfi.video.priority import kept_priority

PROGRAMS = ("ffmpeg", "ffprobe")

# Examples may take as long as a busy machine takes.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `cuda` where no card is."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Skip tests whose fixtures call a program that is not installed."""
    yield from _without_missing_programs()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip tests that call a program that is not installed."""
    yield from _without_missing_programs()


def _without_missing_programs() -> Iterator[None]:
    try:
        return (yield)
    except FileNotFoundError as error:
        if error.filename in PROGRAMS and not shutil.which(error.filename):
            pytest.skip(f"there is no {error.filename}")
        raise


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory):
    """The cache of whoever runs the tests is left alone, and a server of a test is reached without a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKVFI_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(autouse=True)
def _priority():
    """Tests that make AV1 themselves leave no real-time process behind, which would let no others run."""
    with kept_priority():
        yield


@pytest.fixture(scope="session")
def dev_clips() -> Path:
    """The folder of real clips: $MASKVFI_CLIPS/dev, or shared/clips/dev beside the repository."""
    root = Path(os.environ.get("MASKVFI_CLIPS") or Path(__file__).parents[2] / "shared" / "clips")
    if not (root / "dev").is_dir():
        pytest.skip(f"there are no real clips in {root}; set MASKVFI_CLIPS")
    return root / "dev"


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    """Shards of one small moving clip and a few pictures."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (80, 120, 3)).astype(np.uint8), (480, 320))
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 272))
    for k in range(40):
        writer.write(np.ascontiguousarray(texture[8:280, k : k + 320]))
    writer.release()
    (folder / "pictures").mkdir()
    for k in range(3):
        cv2.imwrite(str(folder / "pictures" / f"{k}.png"), rng.permutation(texture))
    out = folder / "shards"
    from distill.data.prepare import Recipe, prepare, prepare_textures

    assert prepare(folder, out, Recipe(6)) == 6
    assert prepare_textures(folder / "pictures", out, count=6) == 6
    return out
