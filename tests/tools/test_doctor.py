"""The doctor names what is missing, and the command that adds it to the environment at hand."""

import sys

import pytest

from maskvfi.tools import doctor


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
    assert found["extra openvino"].startswith("missing: a runtime for CPUs, faster in bfloat16 (")
    assert command in found["extra openvino"]
    assert found["extra ui"] == "there: the page"


def test_every_extra_names_its_packages(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    found = dict(doctor.diagnose())
    for extra, package in {"onnx": "onnxruntime", "ui": "gradio", "ray": "ray", "hub": "huggingface"}.items():
        assert package in found[f"extra {extra}"].rpartition("(")[2]
