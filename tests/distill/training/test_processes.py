"""Training by several processes under `accelerate launch` is the training that one process does alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from distill.training.mask import train
from distill.training.vfi import train_vfi

WEIGHTS = Path(__file__).parents[3] / "weights"
# --multi_gpu is what makes the launcher start several processes; the trainer's own --cpu keeps them off any GPU.
LAUNCH = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]

# Sums in another order differ in the last of a float32's 24 bits, which is some 1e-7 of a loss; the log has 5 digits.
CURVE = 2e-5
# Muon makes every direction of a gradient as long as the longest, and with it what was rounded in the short ones.
DRIFT = 2e-3  # of the way that the weights have gone


OPTIONS: dict[str, Any] = {"batch": 2, "size": 64, "rate": 0.02, "log_every": 1}


@pytest.fixture(autouse=True)
def _one_thread():
    """As in each of the two processes: another number of threads sums in another order, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train_together(command: str, data: Path, run: Path, steps: int, start: Path) -> None:
    """By two processes."""
    options = OPTIONS | {"data": data, "run": run, "steps": steps, "start": start}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    launch = [sys.executable, "-m", *LAUNCH, "-m", "distill", command, "--cpu", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(launch, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "2 processes on cpu" in done.stderr


def curve(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds_per_step"} for line in lines]


def weights(run: Path, part: str) -> dict[str, torch.Tensor]:
    """All of a network's weights by name."""
    state = torch.load(run / "state.pt", weights_only=True)[part]
    return {name.removeprefix("network."): value for name, value in state.items()}


def check_same_training(alone: Path, together: Path, start: Path, steps: int) -> None:
    """The same losses at every step, and in the end the same weights and the same moving average of them."""
    assert [line["step"] for line in curve(alone)] == list(range(1, steps + 1))
    for one, two in zip(curve(alone), curve(together), strict=True):
        assert one == pytest.approx(two, rel=CURVE, abs=CURVE)
    before = load_file(start)
    for part in ("network", "average"):
        one, two = weights(alone, part), weights(together, part)
        # A head that learns one more output begins it anew.
        same = [name for name in sorted(before) if one[name].shape == before[name].shape]
        gone = sum((one[name] - before[name].float()).square().sum() for name in same) ** 0.5
        apart = sum((one[name] - two[name]).square().sum() for name in same) ** 0.5
        assert apart < DRIFT * gone


def test_two_processes_train_the_mask_as_one_does_and_go_on_where_they_stopped(shards, tmp_path):
    alone, together, start = tmp_path / "alone", tmp_path / "together", WEIGHTS / "static-s.safetensors"
    train(shards, alone, steps=4, start=start, cpu=True, **OPTIONS)
    train_together("train", shards, together, 2, start)
    train_together("train", shards, together, 4, start)
    check_same_training(alone, together, start, 4)


def test_two_processes_train_the_interpolation_as_one_does(shards, tmp_path):
    alone, together, start = tmp_path / "alone", tmp_path / "together", WEIGHTS / "vfi-s.safetensors"
    train_vfi(shards, alone, steps=4, start=start, cpu=True, **OPTIONS)
    train_together("train-vfi", shards, together, 4, start)
    check_same_training(alone, together, start, 4)
