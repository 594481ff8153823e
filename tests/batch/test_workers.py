"""Workers of a batch must make the same frames, whatever machines they are on."""

from pathlib import Path

import pytest
import torch

from maskvfi.batch.segments import Part
from maskvfi.batch.workers import Worker, check_alike
from maskvfi.errors import MediaError, OptionError
from maskvfi.options import Options

DESCRIBED = {
    "device": "cpu",
    "precision": "bf16",
    "runtime": "torch",
    "mask_precision": "bfloat16",
    "weights": [{"name": "vfi-m", "sha256": "1"}],
    "at_once": 1000,
}


def test_workers_with_less_memory_make_the_same_frames():
    check_alike([DESCRIBED, DESCRIBED | {"at_once": 10}])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"precision": "fp32"}, r"the workers differ: precision bf16 and fp32 \(fp32 is the same on all\)"),
        ({"mask_precision": "float32"}, "the workers differ: mask precision bfloat16 and float32"),
        ({"device": "cuda"}, "the workers differ: device cpu and cuda"),
        ({"weights": [{"name": "vfi-m", "sha256": "2"}]}, "weights of one name are not the same"),
    ],
)
def test_workers_that_would_make_other_frames_are_refused(other, message):
    with pytest.raises(OptionError, match=message):
        check_alike([DESCRIBED, DESCRIBED | other])


def test_a_worker_that_was_started_again_elsewhere_makes_no_part(tmp_path):
    worker = Worker(Options(vfi="blend", mask=None, device="cpu"), torch.get_num_threads())
    part = Part(0, (), {}, 0, {}, {}, 1000, True)
    missing = str(Path(tmp_path / "in.mp4"))
    for _ in range(2):
        with pytest.raises(OptionError, match="the workers differ: device cuda and cpu"):
            worker.make(missing, ".mp4", part, worker.describe() | {"device": "cuda"})
    with pytest.raises(MediaError, match="no such"):
        worker.make(missing, ".mp4", part, worker.describe())
