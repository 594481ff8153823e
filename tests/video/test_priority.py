"""Encoders do not make this process real-time: such a process lets no others run."""

import os
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from clips import make_clip

from maskvfi.video import VideoReader, VideoWriter


@pytest.mark.skipif(sys.platform != "linux", reason="SVT-AV1 does this on Linux")
def test_svt_av1_leaves_every_thread_its_priority(tmp_path):
    """It raises them only where it may, as for root; elsewhere nothing changes, and this holds too."""

    def policies() -> set[int]:
        found = set()
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                found.add(os.sched_getscheduler(int(thread.name)))
        return found

    before = policies()
    with VideoReader(make_clip(tmp_path / "in.mkv", codec="ffv1", times=6)) as reader:
        writer = VideoWriter(tmp_path / "out.mkv", reader.info, rate=Fraction(25), codec="libsvtav1")
        with writer:
            for frame in reader:
                writer.write(frame)
                assert policies() <= before
    assert policies() <= before
