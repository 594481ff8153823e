"""Weights are untrusted input: what is read, what is refused, and what every name leads to."""

import json
import os
import pickle
import re
import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from maskvfi import IFNet, MediaError, WeightsError, load_static, load_vfi, save_weights
from maskvfi.models.rife import find_variant
from maskvfi.models.rife.variants import Variant
from maskvfi.weights.load import convert_weights, describe
from maskvfi.weights.locate import find_weights, list_weights
from maskvfi.weights.read import read_header


@pytest.fixture(scope="module")
def small() -> IFNet:
    return IFNet(replace(find_variant("4.6"), family="small", versions=(), channels=(8, 8, 8, 8)))


def test_all_shipped_weights_load_by_name_and_have_a_model_card():
    shipped = {"vfi-m": "vfi", "vfi-s": "vfi", "blend": "vfi", "static-s": "static"}
    for name, kind in shipped.items():
        load = load_static if kind == "static" else load_vfi
        assert sum(p.numel() for p in load(name).parameters()) < 6_000_000
        assert find_weights(name).with_suffix(".md").is_file()
    assert {file.name: file.kind for file in list_weights()}.items() >= shipped.items()


def test_the_networks_in_the_box_read_colours_as_their_variants_say():
    for name in ("vfi-m", "vfi-s"):
        assert load_vfi(name).variant == find_variant(name)


def test_official_checkpoints_load_in_every_wrapping(small, tmp_path, monkeypatch):
    official = {f"module.{key}": value for key, value in small.state_dict().items()}
    torch.save(official, tmp_path / "flownet.pkl")
    with zipfile.ZipFile(tmp_path / "RIFEv4.6.zip", "w") as archive:
        archive.write(tmp_path / "flownet.pkl", "train_log/flownet.pkl")
        archive.writestr("train_log/IFNet_HDv3.py", "raise SystemExit('code from an archive was run')")
    save_file(small.state_dict(), tmp_path / "plain.safetensors")
    for name in ("flownet.pkl", "RIFEv4.6.zip", "plain.safetensors"):
        assert torch.equal(
            load_vfi(tmp_path / name).blocks[0].lastconv[0].weight, small.blocks[0].lastconv[0].weight
        )
    (tmp_path / "flownet.pkl").rename(tmp_path / "rife-4.6.pkl")
    monkeypatch.setenv("MASKVFI_WEIGHTS", str(tmp_path))
    assert load_vfi("4.6").variant.channels == load_vfi("rife-4.6").variant.channels == (8, 8, 8, 8)


def test_code_in_a_pickle_is_not_run(tmp_path):
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    with open(tmp_path / "evil.pkl", "wb") as file:
        pickle.dump({"block0.conv0.1.0.bias": Trap()}, file)
    torch.save({"block0.conv0.1.0.bias": Trap()}, tmp_path / "evil.pth")
    for name in ("evil.pkl", "evil.pth"):
        with pytest.raises(WeightsError, match=f"{name}: not readable as weights"):
            load_vfi(tmp_path / name)
    assert not trap.exists()


def test_damage_is_one_line_that_names_the_file(tmp_path, small):
    save_weights(tmp_path / "whole.safetensors", small)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-200])
    (tmp_path / "huge.safetensors").write_bytes((2**62).to_bytes(8, "little") + whole[8:])
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "text.pth").write_text("<html>404</html>")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04nonsense")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    names = sorted(path.name for path in tmp_path.iterdir() if path.name != "whole.safetensors")
    assert len(names) == 7
    for name in names:
        with pytest.raises(WeightsError, match=name) as caught:
            load_vfi(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_lying_header_is_refused(tmp_path, small):
    save_file(
        small.state_dict(), tmp_path / "a.safetensors", metadata={"maskvfi": '{"variant": {"family": "x"}}'}
    )
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        load_vfi(tmp_path / "a.safetensors")
    for field, value in (("mask", "bogus"), ("trunk", "bogus"), ("scales", [4096, 4, 2, 1])):
        with pytest.raises(ValueError, match="describes no RIFE network"):
            Variant.from_dict(small.variant.to_dict() | {field: value})
    save_file(small.state_dict(), tmp_path / "b.safetensors", metadata={"maskvfi": "{nonsense"})
    with pytest.raises(WeightsError, match=r"b\.safetensors"):
        load_vfi(tmp_path / "b.safetensors")


@pytest.mark.parametrize("header", ["[" * 100_000, '{"steps": ' + "9" * 5000 + "}"], ids=["deep", "long"])
def test_a_header_that_cannot_be_parsed_is_one_line_that_names_the_file(tmp_path, header):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"maskvfi": header})
    for load in (load_vfi, load_static):
        with pytest.raises(WeightsError) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: not a readable safetensors file (")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("way", ["repeated", "shared", "absent"])
def test_tensors_that_are_larger_than_what_is_stored_are_refused(tmp_path, small, way, zipped):
    """Names and shapes are those of a network, but a file of a few kilobytes cannot hold its numbers."""
    if way == "repeated":
        state = {key: torch.zeros(1).expand(value.shape) for key, value in small.state_dict().items()}
    elif way == "shared":
        stored = torch.zeros(max(value.numel() for value in small.state_dict().values()))
        state = {key: stored[: value.numel()].view(value.shape) for key, value in small.state_dict().items()}
    else:
        state = {key: value.to("meta") for key, value in small.state_dict().items()}
    torch.save(state, tmp_path / "w.pkl", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"w\.pkl: holds fewer numbers than its tensors have"):
        load_vfi(tmp_path / "w.pkl")


def test_nothing_is_copied_of_tensors_that_do_not_fit():
    state = load_file(find_weights("static-s"))
    for name, shape in (("unknown", (1 << 50,)), ("head.weight", (1 << 50,)), ("head.weight", ())):
        with pytest.raises(WeightsError, match="loading state_dict"):  # not: no memory
            load_static(state | {name: torch.zeros(()).expand(shape)})


def test_a_header_with_an_entry_of_another_version_is_named(tmp_path, small):
    header = {"kind": "vfi", "architecture": "rife", "variant": small.variant.to_dict() | {"start": "dis"}}
    save_file(small.state_dict(), tmp_path / "w.safetensors", metadata={"maskvfi": json.dumps(header)})
    with pytest.raises(WeightsError, match=r"w\.safetensors: its header has an unknown entry: start$"):
        load_vfi(tmp_path / "w.safetensors")


def test_a_file_of_ours_says_what_it_is(tmp_path, small):
    save_weights(tmp_path / "mine.safetensors", small, steps=12)
    header = read_header(tmp_path / "mine.safetensors")
    assert (header["kind"], header["variant"]["family"], header["steps"]) == ("vfi", "small", 12)


@pytest.mark.parametrize("name", ["mine", "mine.pth", "mine.onnx"])
def test_weights_are_saved_only_where_they_can_be_loaded(tmp_path, small, name):
    with pytest.raises(WeightsError, match=f"{name}: weights are written as .safetensors only"):
        save_weights(tmp_path / name, small)
    assert list(tmp_path.iterdir()) == []


def test_a_state_dict_of_the_box_is_the_network_it_was():
    for name, variant in (("vfi-s", None), ("vfi-m", "vfi-m")):
        network = load_vfi(name)
        wrapped = {f"_orig_mod.{key}": value for key, value in network.state_dict().items()}
        assert load_vfi(wrapped, variant).variant == network.variant


def test_networks_that_are_loaded_in_inference_mode_can_be_used_outside_of_it():
    with torch.inference_mode():
        network = load_static()
    loss = network(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)).mean()
    loss.backward()
    assert network.head.weight.grad is not None


def test_hidden_files_have_no_name(tmp_path, small, monkeypatch):
    save_weights(tmp_path / ".mine.partial.safetensors", small)
    monkeypatch.setenv("MASKVFI_WEIGHTS", str(tmp_path))
    assert not any(file.path.parent == tmp_path for file in list_weights())


def test_names_mean_the_file_that_is_listed_however_they_are_spelt(tmp_path, small, monkeypatch):
    monkeypatch.setenv("MASKVFI_WEIGHTS", str(tmp_path))
    torch.save(small.state_dict(), tmp_path / "rife-4.25.pkl")
    save_weights(tmp_path / "rife-4.25.safetensors", small)
    (listed,) = (file.path for file in list_weights() if file.name == "rife-4.25")
    for name in ("rife-4.25", "4.25", "v4.25", "rife-v4.25", "RIFE_4.25"):
        assert find_weights(name) == listed == tmp_path / "rife-4.25.safetensors"


def test_a_header_cannot_command_the_terminal(tmp_path, small):
    evil = "\x1b]0;owned\x07"
    save_weights(tmp_path / "a.safetensors", small, note=evil, **{evil: [evil]})
    assert all(text.isprintable() for pair in describe(tmp_path / "a.safetensors") for text in pair)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(WeightsError, match=r"unknown weights 'rife-9000'.*there are: .*vfi-s"):
        load_vfi("rife-9000")


def test_a_header_that_promises_too_much_is_refused_before_any_memory_is_taken(tmp_path):
    whole = find_weights("vfi-s").read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    ours = json.loads(header["__metadata__"]["maskvfi"])
    for change in (
        {"channels": [10**9, 10**9]},
        {"scales": []},
        {"head": "tail"},
        {"channels": [], "scales": []},
        {"channels": "x"},
        {"start": 7},
    ):
        ours["variant"] = ours["variant"] | change
        header["__metadata__"]["maskvfi"] = json.dumps(ours)
        text = json.dumps(header).encode()
        path = tmp_path / "w.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
        with pytest.raises(WeightsError, match=re.escape(str(path))):
            load_vfi(path)


def _reason(path):
    """Why the weights are refused; None: they are not."""
    try:
        load_vfi(path)
    except WeightsError as error:
        return str(error)
    return None


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_pickle_is_refused_in_one_line(tmp_path, small, zipped):
    path = tmp_path / "w.pkl"
    torch.save(small.state_dict(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        at = int(random.integers(3000))
        data[at : at + 4] = random.bytes(4)
        path.write_bytes(data)
        reason = _reason(path)
        assert reason is None or (str(path) in reason and "\n" not in reason)


def test_a_network_does_not_share_memory_with_the_state_dict_it_came_from():
    state = load_file(find_weights("static-s"))
    before = {key: value.clone() for key, value in state.items()}
    with torch.no_grad():
        for parameter in load_static(state).parameters():
            assert parameter.requires_grad
            parameter.add_(1)
    assert all(torch.equal(value, before[key]) for key, value in state.items())


def test_there_may_be_no_home(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("MASKVFI_HOME", "MASKVFI_WEIGHTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert find_weights("static-s").is_file()


def test_a_header_may_hold_any_names_and_changes_nothing(tmp_path):
    facts = {"path": "x", "network": 1, "half": True, "kind": "vfi"}
    network = load_static("static-s")
    state = {key: value.float().contiguous() for key, value in network.state_dict().items()}
    header = facts | {"kind": "static", "config": network.config.to_dict()}
    save_file(state, tmp_path / "odd.safetensors", metadata={"maskvfi": json.dumps(header)})
    convert_weights(tmp_path / "odd.safetensors", tmp_path / "out.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in load_file(tmp_path / "out.safetensors").values())
    assert read_header(tmp_path / "out.safetensors")["network"] == 1
    save_weights(tmp_path / "b.safetensors", network, kind="vfi")
    assert load_static(tmp_path / "b.safetensors").config == network.config


def test_where_nothing_can_be_written_a_line_says_so(tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        save_weights(tmp_path / "nowhere" / "a.safetensors", load_static("static-s"))


def test_tensors_without_data_are_refused():
    state = load_static("static-s").state_dict()
    with pytest.raises(WeightsError, match="state dict: "):
        load_static({key: value.to("meta") for key, value in state.items()})


def test_others_may_read_what_is_saved(tmp_path, small):
    before = os.umask(0o022)
    try:
        save_weights(tmp_path / "a.safetensors", small)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644
