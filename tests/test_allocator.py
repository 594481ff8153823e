"""Memory of large tensors is kept, in a process of its own: the setting cannot be taken back."""

import os
import platform
import subprocess
import sys

import pytest

PROBE = """
import resource, sys
import maskvfi.pipeline.run  # everything that a run imports
from contextlib import nullcontext
from maskvfi.allocator import freeing, keep_for_frames, keep_freed_memory
if sys.argv[1] != "leave":
    keep_freed_memory()
if "frames" in sys.argv[1]:
    keep_for_frames(small=False)
if sys.argv[1] == "small frames":
    keep_for_frames(small=True)
def clear(size=80_000_000):
    import torch
    torch.zeros(size, dtype=torch.uint8)
with freeing() if sys.argv[1] == "freeing" else nullcontext():
    for _ in range(3):
        clear()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **variables: str) -> int:
    """Pages that the system had to hand out again."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, how], env={**clean, **variables}, capture_output=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's settings")
def test_large_blocks_are_used_again_unless_the_environment_has_its_own_settings():
    left = faults("leave")
    assert any(faults("keep") < left / 4 for _ in range(4))  # where small blocks lie is left to chance
    assert faults("freeing") > left / 2
    assert faults("large frames") > left / 2
    assert any(faults("small frames") < left / 4 for _ in range(4))
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="1000000") > left / 2
