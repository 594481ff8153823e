"""Memory of large tensors is kept, in a process of its own: the setting cannot be taken back."""

import os
import platform
import subprocess
import sys

import pytest

PROBE = """
import os, resource, sys
import maskvfi.pipeline.run  # everything that a run imports
from contextlib import nullcontext
from maskvfi.allocator import freeing, keep_for_frames, keep_freed_memory
def clear(size=80_000_000):
    import torch
    torch.zeros(size, dtype=torch.uint8)
def probe(how):
    if how != "leave":
        keep_freed_memory()
    if "frames" in how:
        keep_for_frames(small=False)
    if how == "small frames":
        keep_for_frames(small=True)
    with freeing() if how == "freeing" else nullcontext():
        for _ in range(3):
            clear()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            clear()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True)
for how in sys.argv[1:]:
    if os.fork() == 0:
        probe(how)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def faults(*hows: str, **variables: str) -> list[int]:
    """Pages that the system had to hand out again, in a process of its own for each."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *hows], env={**clean, **variables}, capture_output=True, check=True
    )
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's settings")
def test_large_blocks_are_used_again_unless_the_environment_has_its_own_settings():
    for _ in range(4):  # where small blocks lie is left to chance
        left, freed, large, kept, small = faults("leave", "freeing", "large frames", "keep", "small frames")
        if max(kept, small) < left / 4:
            break
    assert freed > left / 2
    assert large > left / 2
    assert max(kept, small) < left / 4
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="1000000")[0] > left / 2
