"""The doctor names what is missing, and the command that adds it to the environment at hand."""

import sys

import pytest

from maskvfi.errors import WeightsError
from maskvfi.tools import doctor
from maskvfi.weights.download import verify_weights


@pytest.mark.parametrize(
    ("marker", "command"),
    [
        ("", "pip install 'openvino>="),
        ("pipx_metadata.json", "pipx inject maskvfi 'openvino>="),
        ("uv-receipt.toml", "uv pip install --python "),
    ],
)
def test_a_missing_extra_has_the_command_of_its_environment(monkeypatch, tmp_path, marker: str, command: str):
    if marker:
        (tmp_path / marker).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(doctor, "find_spec", lambda module: None if module == "openvino" else object())
    found = dict(doctor.diagnose())
    assert found["extra openvino"].startswith("missing: a runtime for CPUs, faster for small frames (")
    assert command in found["extra openvino"]
    assert found["extra ui"] == "there: the page"


def test_every_extra_names_its_packages(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    found = dict(doctor.diagnose())
    for extra, package in {"onnx": "onnxruntime", "ui": "gradio", "ray": "ray", "hub": "huggingface"}.items():
        assert package in found[f"extra {extra}"].rpartition("(")[2]


def test_weights_that_cannot_be_read_are_named_and_the_others_listed(monkeypatch, tmp_path):
    (tmp_path / "mine.safetensors").symlink_to(tmp_path / "gone")
    monkeypatch.setenv("MASKVFI_WEIGHTS", str(tmp_path))
    found = dict(doctor.diagnose())
    assert found["  mine"] == "unreadable (no such file or directory)"
    assert "sha256" in found["  static-s"]
    found, checks = verify_weights(), []
    with pytest.raises(WeightsError, match=r"mine\.safetensors: cannot be read"):
        checks.extend(found)
    assert [check.finding for check in checks if "mine" in check.name] == [
        "unreadable (no such file or directory)"
    ]
    assert len(checks) > 3
