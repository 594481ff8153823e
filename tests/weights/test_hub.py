"""Networks go into folders and to the Hub, and come back the same."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import run

import maskvfi
from maskvfi.models.blend import Blend
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.models.static import StaticConfig, StaticMaskNet
from maskvfi.weights.read import read_header

SMALL = replace(find_variant("4.6"), family="small", versions=(), channels=(8, 8, 8, 8))


@pytest.fixture(params=["vfi", "blend", "static"])
def network(request):
    if request.param == "static":
        return StaticMaskNet(StaticConfig(widths=(8, 12, 16, 16, 16)))
    return IFNet(SMALL) if request.param == "vfi" else Blend()


def same(a, b):
    states = a.state_dict(), b.state_dict()
    return all(torch.equal(states[0][key], states[1][key]) for key in {*states[0], *states[1]})


def test_a_folder_gives_back_what_was_saved(network, tmp_path):
    network.save_pretrained(tmp_path / "new" / "folder")
    back = type(network).from_pretrained(tmp_path / "new" / "folder")
    assert type(back) is type(network)
    assert same(network, back)
    assert not back.training
    assert {x.name for x in (tmp_path / "new" / "folder").iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
    }


def test_a_folder_is_a_path_like_others(network, tmp_path):
    network.save_pretrained(tmp_path / "mine")
    load = maskvfi.load_static if isinstance(network, StaticMaskNet) else maskvfi.load_vfi
    assert same(network, load(tmp_path / "mine"))


def test_the_weights_file_alone_is_enough(network, tmp_path):
    network.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    assert same(network, type(network).from_pretrained(tmp_path))
    assert read_header(tmp_path / "model.safetensors")["kind"] in ("vfi", "static")


def test_a_card_that_is_there_is_kept(network, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    network.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_huggingface_hubs_own_mixin_reads_the_weights(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    ours = StaticMaskNet(StaticConfig(widths=(8, 12, 16, 16, 16)))
    ours.save_pretrained(tmp_path)

    class Theirs(hub.PyTorchModelHubMixin, StaticMaskNet):
        pass

    assert same(ours, Theirs.from_pretrained(tmp_path, config=ours.config))


def test_the_hub_is_given_the_whole_folder_and_asked_for_the_weights(network, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    calls = []

    class Api:
        def __init__(self, token):
            assert token == "secret"

        def create_repo(self, repo_id, private, exist_ok):
            return type("Repo", (), {"repo_id": f"me/{repo_id}"})

        def create_branch(self, repo_id, branch, exist_ok):
            calls.append((repo_id, branch))

        def upload_folder(self, *, repo_id, folder_path, revision, **_):
            calls.append((repo_id, revision, sorted(x.name for x in Path(folder_path).iterdir())))
            Path(folder_path).rename(tmp_path / "uploaded")
            Path(folder_path).mkdir()
            return "address"

    def download(repo_id, filename, **how):
        assert (repo_id, how) == ("me/net", {"revision": "v1"})
        return str(tmp_path / "uploaded" / filename)

    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert network.push_to_hub("net", token="secret", branch="v1") == "address"
    files = ["README.md", "config.json", "model.safetensors"]
    assert calls == [("me/net", "v1"), ("me/net", "v1", files)]
    assert same(network, type(network).from_pretrained("me/net", revision="v1"))


def test_nothing_is_asked_of_the_hub_where_the_environment_forbids_downloads(tmp_path, monkeypatch):
    def download(repo_id, filename, **how):
        assert how == {"local_files_only": True}
        raise OSError("not in the cache")

    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("MASKVFI_OFFLINE", "1")
    monkeypatch.setattr(hub, "hf_hub_download", download)
    with pytest.raises(maskvfi.WeightsError, match="not in the cache"):
        IFNet.from_pretrained("me/net")


def test_what_is_not_there_is_one_clear_line(tmp_path, monkeypatch):
    with pytest.raises(maskvfi.WeightsError, match=r"holds no model\.safetensors"):
        IFNet.from_pretrained(tmp_path)
    IFNet(SMALL).save_pretrained(tmp_path)
    with pytest.raises(maskvfi.WeightsError, match="holds vfi weights, not static weights"):
        StaticMaskNet.from_pretrained(tmp_path)
    with pytest.raises(maskvfi.WeightsError, match="holds IFNet weights, not Blend weights"):
        Blend.from_pretrained(tmp_path)
    assert isinstance(maskvfi.InterpolationNetwork.from_pretrained(tmp_path), IFNet)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match="pip install 'huggingface-hub>="):
        IFNet.from_pretrained("someone/something")


@pytest.mark.parametrize("name", ["IFNet", "InterpolationNetwork", "StaticMaskNet"])
def test_a_public_network_has_the_methods_of_the_hub_from_the_start(name):
    program = f"from maskvfi import {name} as n; n.from_pretrained, n.save_pretrained, n.push_to_hub"
    assert run(code=program).returncode == 0


def test_a_repository_that_cannot_be_had_is_one_clear_line(tmp_path):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(
        maskvfi.WeightsError, match="someone/nothing: no such folder, and not to be had"
    ) as error:
        IFNet.from_pretrained("someone/nothing", local_files_only=True, cache_dir=tmp_path)
    assert "\n" not in str(error.value)


WEIGHTS = sorted((Path(__file__).parents[2] / "weights").glob("*.safetensors"))


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_every_model_card_says_what_the_hub_asks(path):
    lines = path.with_suffix(".md").read_text().splitlines()
    head = lines[1 : lines.index("---", 1)]
    assert lines[0] == "---"
    assert {"license: mit", "library_name: maskvfi", "tags:"} <= set(head)
    assert any(line.startswith("pipeline_tag: ") for line in head)
    assert f"# {path.stem}" in lines
