"""Weights of every kind become one file of ours that gives the same frames."""

import zipfile

import pytest
import torch
from commands import run
from ncnn_port import network_like, write_port
from safetensors.torch import load_file, save_file

from maskvfi import IFNet, MaskvfiError, MediaError, load_static, load_vfi
from maskvfi.models.rife import find_variant
from maskvfi.models.rife.detect import detect
from maskvfi.paths import cache_folder
from maskvfi.weights.load import convert_weights
from maskvfi.weights.locate import find_weights, own_folder
from maskvfi.weights.read import read_header, sha256

OTHERS = {
    "module.teacher.conv0.0.0.weight": torch.zeros(32, 31, 3, 3),
    "module.caltime.0.weight": torch.zeros(3),
    "module.block_tea.conv0.0.0.weight": torch.zeros(3),
}


def official(network):
    return {f"module.{key}": value for key, value in network.state_dict().items()} | OTHERS


def legacy_pickle(network, folder):
    torch.save(official(network), folder / "flownet.pkl", _use_new_zipfile_serialization=False)
    return folder / "flownet.pkl"


def zipped_pickle(network, folder):
    torch.save(official(network), folder / "flownet.pth")
    return folder / "flownet.pth"


def official_zip(network, folder):
    with zipfile.ZipFile(folder / "RIFEv4.25_0919.zip", "w") as archive:
        archive.writestr("__MACOSX/train_log/._flownet.pkl", b"a resource fork")
        archive.writestr("train_log/IFNet_HDv3.py", "raise SystemExit('code from an archive was run')")
        archive.write(legacy_pickle(network, folder), "train_log/flownet.pkl")
    return folder / "RIFEv4.25_0919.zip"


def blocks_as_list(network, folder):
    state = {
        key.replace("block", "blocks.", 1) if key.startswith("block") else key: value
        for key, value in network.state_dict().items()
    }
    save_file({f"flownet.{key}": value for key, value in state.items()}, folder / "comfy.safetensors")
    return folder / "comfy.safetensors"


def wrapped_twice(network, folder):
    save_file(
        {f"model.module.{key}": value for key, value in network.state_dict().items()},
        folder / "w.safetensors",
    )
    return folder / "w.safetensors"


def ncnn_port(network, folder):
    return write_port(folder / "rife-v4.25", network)


KINDS = (legacy_pickle, zipped_pickle, official_zip, blocks_as_list, wrapped_twice, ncnn_port)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", ["4.6", "4.25"])
def test_every_kind_becomes_the_network_that_it_held(tmp_path, version, kind):
    network = network_like(version)
    source = kind(network, tmp_path)
    made = convert_weights(source, tmp_path / "made.safetensors")
    state = load_vfi(made).state_dict()
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    header = read_header(made)
    assert (header["converted_from"], header["source_sha256"]) == (source.name, sha256(source))


def test_a_port_in_half_precision_is_as_near_as_that_is(tmp_path):
    network = network_like("4.25")
    state = load_vfi(
        convert_weights(write_port(tmp_path / "p", network, half=True), tmp_path / "m.safetensors")
    ).state_dict()
    for key, value in network.state_dict().items():
        rounded = value.half().float() if value.ndim == 4 and not key.endswith("beta") else value
        assert torch.equal(state[key], rounded)


def test_weights_in_half_precision_are_kept_as_full(tmp_path):
    network = network_like("4.6")
    save_file(
        {key: value.half() for key, value in network.state_dict().items()}, tmp_path / "half.safetensors"
    )
    made = load_file(convert_weights(tmp_path / "half.safetensors", tmp_path / "made.safetensors"))
    assert {value.dtype for value in made.values()} == {torch.float32}


def test_ours_keep_what_their_header_says(tmp_path):
    made = convert_weights("static-s", tmp_path / "mask.safetensors")
    assert sum(p.numel() for p in load_static(made).parameters()) > 0
    ours, kept = read_header(find_weights("static-s")), read_header(made)
    # A converted file also names what had its default.
    assert ours.pop("config").items() <= kept.pop("config").items()
    assert ours.items() <= kept.items()


def test_nothing_is_overwritten_unasked_and_nothing_half_written(tmp_path):
    source, target = legacy_pickle(network_like("4.6"), tmp_path), tmp_path / "t.safetensors"
    target.write_bytes(b"mine")
    with pytest.raises(MediaError, match=r"t\.safetensors: exists already, and overwrite is not set"):
        convert_weights(source, target)
    assert target.read_bytes() == b"mine"
    convert_weights(source, target, overwrite=True)
    (tmp_path / "bad.pkl").write_bytes(b"nonsense")
    for bad, to, cause in (
        (tmp_path / "bad.pkl", tmp_path / "new.safetensors", r"bad\.pkl: not readable"),
        (source, tmp_path / "new.pth", r"new\.pth: .*\.safetensors only"),
        (tmp_path / "none.pkl", tmp_path / "new.safetensors", "no such weights file"),
        (source, tmp_path / "no" / "new.safetensors", "there is no folder"),
    ):
        with pytest.raises(MaskvfiError, match=cause):
            convert_weights(bad, to)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pkl", "flownet.pkl", "t.safetensors"]


def test_the_command_converts_and_refuses_in_one_line(tmp_path):
    port = write_port(tmp_path / "port", network_like("4.6"))
    assert run("weights", "convert", port, tmp_path / "made.safetensors").returncode == 0
    again = run("weights", "convert", port, tmp_path / "made.safetensors")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert b"exists already" in again.stderr
    assert b"custom" in run("weights", "info", port).stdout


def test_encoder_names_do_not_hide_a_family():
    for version in ("4.12.lite", "4.15.lite", "4.25.lite"):
        form = find_variant(version)
        names = dict(
            zip(
                form.encoder_names,
                ("0", "2", "4", "6") if "cnn0" in form.encoder_names else ("cnn0", "cnn1", "cnn2", "cnn3"),
                strict=True,
            )
        )
        with torch.device("meta"):
            state = IFNet(form).state_dict()
        renamed = {
            key.replace(f"encode.{key.split('.')[1]}.", f"encode.{names.get(key.split('.')[1])}."): value
            for key, value in state.items()
        }
        assert detect(renamed) == form


def test_weights_are_kept_where_the_environment_says(tmp_path, monkeypatch):
    for name in ("MASKVFI_WEIGHTS", "MASKVFI_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    for platform, place in (("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")):
        monkeypatch.setattr("sys.platform", platform)
        assert cache_folder() == own_folder() == tmp_path / place / "maskvfi"
    monkeypatch.setenv("MASKVFI_HOME", str(tmp_path / "home"))
    assert cache_folder() == own_folder() == tmp_path / "home"
    monkeypatch.setenv("MASKVFI_WEIGHTS", str(tmp_path / "mine"))
    assert (cache_folder(), own_folder()) == (tmp_path / "home", tmp_path / "mine")
