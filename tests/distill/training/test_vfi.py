"""Training the interpolation network."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from checkpoints import stored_alike

from distill.training.vfi import train_vfi
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.models.rife.variants import VFI_M, VFI_S
from maskvfi.weights.load import load_vfi, save_weights
from maskvfi.weights.read import read_header

SMALL = {"batch": 1, "size": 64, "cpu": True}


def losses(run: Path) -> list[float]:
    return [json.loads(line)["total"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_every_term_of_the_loss_trains(shards, tmp_path):
    terms = {"census": 0.1, "reversal": 0.1, "privileged": 0.5}
    train_vfi(shards, tmp_path, steps=2, log_every=1, **terms, **SMALL)
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert all(line[name] > 0 for name in ("picture", "laplacian", "flow", "census", "privileged"))
    assert line["reversal"] >= 0
    assert isinstance(load_vfi(tmp_path / "weights.safetensors"), IFNet)


def test_the_picture_may_count_less(shards, tmp_path):
    for weight in (1.0, 0.25):
        train_vfi(shards, tmp_path / str(weight), steps=1, log_every=1, picture=weight, **SMALL)
    whole, part = (
        json.loads((tmp_path / str(weight) / "log.jsonl").read_text())["picture"] for weight in (1.0, 0.25)
    )
    assert part == pytest.approx(whole / 4, abs=2e-5)


def test_a_term_that_is_not_installed_is_named(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("distill.training.perceptual.PACKAGE", "stlpips_that_is_not_there")
    with pytest.raises(ValueError, match="pip install stlpips-pytorch"):
        train_vfi(shards, tmp_path, steps=1, perceptual=0.1, **SMALL)


def test_only_networks_of_rife_are_trained(shards, tmp_path):
    with pytest.raises(ValueError, match="blend: a cross-fade network, and only RIFE's will do here"):
        train_vfi(shards, tmp_path, start="blend", steps=1, **SMALL)


def test_a_teacher_that_would_teach_nothing_is_refused(shards, tmp_path):
    with pytest.raises(ValueError, match="a teacher is of no use beside start without taught or imitated"):
        train_vfi(shards, tmp_path, start="vfi-s", teacher="vfi-m", steps=1, **SMALL)


def test_interpolation_training_resumes_to_the_same_result(shards, tmp_path):
    options = {"steps": 4, "log_every": 1, "store_every": 2, "privileged": 0.5, **SMALL}
    train_vfi(shards, tmp_path / "whole", **options)
    train_vfi(shards, tmp_path / "broken", stop_after=2, **options)
    train_vfi(shards, tmp_path / "broken", **options)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert stored_alike(tmp_path / "whole", tmp_path / "broken")


def test_a_run_goes_on_with_the_teacher_that_it_is_given(shards, tmp_path, capfd):
    torch.manual_seed(0)
    for name in ("a", "b"):
        save_weights(tmp_path / f"{name}.safetensors", IFNet(VFI_M), licence="MIT")
    options = {"variant": "vfi-s", "taught": 1.0, "log_every": 1, **SMALL}
    run = tmp_path / "run"
    train_vfi(shards, run, teacher=str(tmp_path / "a.safetensors"), steps=2, stop_after=1, **options)
    shutil.copytree(run, tmp_path / "other")
    for folder, name in ((run, "a"), (tmp_path / "other", "b")):
        train_vfi(shards, folder, teacher=str(tmp_path / f"{name}.safetensors"), steps=2, **options)
    assert "teacher" in capfd.readouterr().err
    assert losses(run)[0] == losses(tmp_path / "other")[0]
    assert losses(run)[1] != losses(tmp_path / "other")[1]
    stored = torch.load(run / "state.pt", weights_only=True)["network"]
    assert {name.partition(".")[0] for name in stored} == {"network"}
    assert read_header(run / "weights.safetensors")["licence"] == "MIT"


def test_a_small_network_is_taught_by_a_large_one(shards, tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "teacher.safetensors", IFNet(VFI_M))
    teacher = str(tmp_path / "teacher.safetensors")
    train_vfi(shards, tmp_path, steps=2, log_every=1, taught=1.0, teacher=teacher, optimiser="adamw", **SMALL)
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert line["taught"] > 0
    made = load_vfi(tmp_path / "weights.safetensors")
    assert made.variant.channels == VFI_S.channels
    assert sum(parameter.numel() for parameter in made.parameters()) < 2_000_000


def test_blocks_learn_their_teachers_blocks_at_first(shards, tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "teacher.safetensors", IFNet(VFI_M))
    options = {"teacher": str(tmp_path / "teacher.safetensors"), "optimiser": "adamw", **SMALL}
    train_vfi(shards, tmp_path, steps=4, log_every=1, imitated=0.5, **options)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [("block3" in line, "picture" in line) for line in lines] == [(True, False)] * 2 + [
        (False, True)
    ] * 2
    assert lines[1]["total"] < lines[0]["total"]
    with pytest.raises(ValueError, match="only a teacher with the same blocks"):
        train_vfi(shards, tmp_path / "alone", steps=1, imitated=0.5, **SMALL)
    with pytest.raises(ValueError, match="taught is of no use without a teacher"):
        train_vfi(shards, tmp_path / "alone", steps=1, taught=0.5, **SMALL)


def test_weights_go_on_as_what_they_are(shards, tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "4.0.safetensors", IFNet(find_variant("4.0")))
    with pytest.raises(ValueError, match=r"the weights to start from are of family 4\.0, not 4\.6"):
        train_vfi(shards, tmp_path, steps=1, variant="4.6", start=tmp_path / "4.0.safetensors", **SMALL)
    train_vfi(shards, tmp_path, steps=1, start=tmp_path / "4.0.safetensors", **SMALL)
    assert load_vfi(tmp_path / "weights.safetensors").variant.family == "4.0"


def test_good_weights_keep_their_scales_from_now_on(shards, tmp_path):
    torch.manual_seed(0)
    save_weights(tmp_path / "4.0.safetensors", IFNet(find_variant("4.0")))
    options = {"variant": "vfi-m", "start": tmp_path / "4.0.safetensors", "optimiser": "adamw"}
    train_vfi(shards, tmp_path, steps=1, rate=1e-5, **options, **SMALL)
    made = load_vfi(tmp_path / "weights.safetensors")
    assert made.variant == VFI_M
    assert not made.traits.no_graph
