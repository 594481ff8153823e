"""The training loop: a resumed run is the unbroken run, and a wrong state is named."""

import json
from pathlib import Path

import pytest
from accelerate import Accelerator
from checkpoints import stored_alike

from distill.options import MaskTraining
from distill.training.mask import train

WEIGHTS = Path(__file__).parents[3] / "weights"


def test_a_run_broken_off_and_resumed_is_the_unbroken_run(shards, tmp_path):
    def losses(run: Path) -> list[tuple[int, float]]:
        lines = (run / "log.jsonl").read_text().splitlines()
        return [(line["step"], line["total"]) for line in map(json.loads, lines)]

    options = {"batch": 1, "size": 64, "length": 3}
    train(shards, tmp_path / "whole", steps=4, log_every=1, store_every=2, **options)
    train(shards, tmp_path / "broken", steps=4, stop_after=2, log_every=1, store_every=2, **options)
    with open(tmp_path / "broken" / "log.jsonl", "a") as log:  # of a step that was done but not stored
        log.write('{"step": 3, "total": 9.0}\n{"step": 4, "to')  # and a line that a kill has torn
    train(shards, tmp_path / "broken", steps=4, log_every=1, store_every=2, **options)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert stored_alike(tmp_path / "whole", tmp_path / "broken")


def test_a_batch_that_cannot_be_shared_evenly_is_refused(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    with pytest.raises(ValueError, match="batch of 3"):
        train(shards, tmp_path, steps=1, batch=3, cpu=True)


def test_a_loss_that_is_no_number_ends_the_run_and_spares_what_was_stored(shards, tmp_path):
    options = {"batch": 1, "size": 64, "length": 2, "cpu": True}
    train(shards, tmp_path, steps=1, **options)
    before = (tmp_path / "weights.safetensors").read_bytes()
    with pytest.raises(ValueError, match=r"step \d+: the loss is not a number; what was stored last is kept"):
        train(shards, tmp_path, steps=40, rate=1e6, **options)
    assert (tmp_path / "weights.safetensors").read_bytes() == before


def test_a_state_of_another_network_is_named(shards, tmp_path):
    train(shards, tmp_path, steps=1, batch=1, size=64, length=2, cpu=True)
    with pytest.raises(ValueError, match=r"state.pt: does not continue this run, its network differs"):
        train(shards, tmp_path, network="published", steps=2, batch=1, size=64, length=2, cpu=True)


def test_a_mask_that_learns_more_is_held_to_what_it_said_before(shards, tmp_path):
    options = {
        "steps": 1,
        "batch": 2,
        "size": 64,
        "length": 3,
        "log_every": 1,
        "start": WEIGHTS / "static-s.safetensors",
    }
    train(shards, tmp_path / "held", keep_mask=1.0, **options)
    train(shards, tmp_path / "free", **options)
    held, free = (json.loads((tmp_path / name / "log.jsonl").read_text()) for name in ("held", "free"))
    assert held["keep"] > 0
    assert held["total"] == pytest.approx(free["total"] + held["keep"], abs=1e-3)


def test_a_run_that_goes_on_with_other_options_says_which(shards, tmp_path, capfd):
    options = {"batch": 1, "size": 64, "length": 2, "cpu": True}
    train(shards, tmp_path, steps=3, stop_after=1, **options)
    train(shards, tmp_path, steps=3, stop_after=2, log_every=1, **options)
    assert "other options" not in capfd.readouterr().err
    train(shards, tmp_path, steps=4, rate=1e-4, **options)
    changed = f"rate {MaskTraining.rate} -> 0.0001, steps 3 -> 4"
    assert f"warning: the run goes on with other options: {changed}\n" in capfd.readouterr().err
