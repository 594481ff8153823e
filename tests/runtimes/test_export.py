"""One ONNX file makes what torch makes, at any size, in other people's runtimes."""

import dataclasses

import numpy as np
import pytest
import torch
from commands import run
from narrow import NARROW, frames

import maskvfi
from maskvfi.models.rife import IFNet, find_variant

onnx = pytest.importorskip("onnx")
TOLERANCE = 2e-3  # measured: at most 5e-5, for static-s in ONNX Runtime; 2e-5 for every RIFE form tried
SIZES = ((64, 96, 1), (101, 67, 2))


def answers(path, given):
    """What ONNX Runtime and OpenVINO make of arrays by input name, under the output's name."""
    onnxruntime, openvino = pytest.importorskip("onnxruntime"), pytest.importorskip("openvino")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert {x.name for x in session.get_inputs()} == set(given)
    (output,) = (x.name for x in session.get_outputs())
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    yield output, session.run(None, given)[0]
    yield output, compiled(given)[output]


def two_frames(height, width, batch):
    """Half of the picture moves by 3 px, half stands still under noise."""
    img0, _ = frames(height, width, batch)
    img1 = (img0 + 0.02 * torch.randn_like(img0)).clamp(0, 1)
    img1[..., : height // 2, :] = img0.roll(3, -1)[..., : height // 2, :]
    return img0, img1


@pytest.mark.parametrize("name", ["vfi-m", "vfi-s", "4.7", "4.25"])
def test_an_interpolation_network_makes_the_same_frame(tmp_path, name):
    torch.manual_seed(0)
    source = name
    if name[0] == "4":
        source = tmp_path / "narrow.safetensors"
        maskvfi.save_weights(source, IFNet(dataclasses.replace(find_variant(name), **NARROW)))
    network = maskvfi.load_vfi(source)
    assert maskvfi.export(source, tmp_path / "out.onnx") == ["img0", "img1", "timestep"]
    for height, width, batch in SIZES:
        img0, img1 = two_frames(height, width, batch)
        given = {"img0": img0, "img1": img1, "timestep": torch.full((batch, 1, 1, 1), 0.3)}
        with torch.inference_mode():
            wanted = network(img0, img1, 0.3).frame.numpy()
        for output, found in answers(tmp_path / "out.onnx", {k: x.numpy() for k, x in given.items()}):
            assert output == "frame"
            np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0)


def test_the_mask_says_the_same(tmp_path):
    torch.manual_seed(0)
    mask = maskvfi.load_static("static-s")
    assert maskvfi.export("static-s", tmp_path / "out.onnx") == ["img0", "img1"]
    for height, width, batch in SIZES:
        img0, img1 = two_frames(height, width, batch)
        with torch.inference_mode():
            wanted = mask(img0, img1).numpy()
        assert wanted.min() < 0.1
        assert wanted.max() > 0.9
        for output, found in answers(tmp_path / "out.onnx", {"img0": img0.numpy(), "img1": img1.numpy()}):
            assert output == "probability"
            np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0)


def test_the_stacked_mask_takes_both_frames_as_one_input_of_any_size(tmp_path):
    torch.manual_seed(0)
    mask = maskvfi.load_static("static-s")
    assert maskvfi.export("static-s", tmp_path / "out.onnx", layout="stacked") == ["images"]
    for height, width, _ in SIZES:
        img0, img1 = two_frames(height, width, 1)
        with torch.inference_mode():
            wanted = mask(img0, img1).numpy()
        assert wanted.max() - wanted.min() > 0.8
        for output, found in answers(tmp_path / "out.onnx", {"images": torch.cat((img0, img1), 1).numpy()}):
            assert output == "probability"
            np.testing.assert_allclose(found, wanted, atol=TOLERANCE, rtol=0)
    model = onnx.load(tmp_path / "out.onnx")
    assert [x.version for x in model.opset_import if not x.domain] == [18]
    for value, channels in ((model.graph.input[0], 6), (model.graph.output[0], 1)):
        shape = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        assert shape == [1, channels, "height", "width"]


def test_only_a_mask_is_stacked(tmp_path):
    with pytest.raises(maskvfi.OptionError, match=r"vfi-s\.safetensors: is no mask network"):
        maskvfi.export("vfi-s", tmp_path / "out.onnx", layout="stacked")
    with pytest.raises(maskvfi.OptionError, match="layout must be one of pair, stacked, not 'tall'"):
        maskvfi.export("static-s", tmp_path / "out.onnx", layout="tall")
    assert not list(tmp_path.iterdir())


def test_the_file_is_a_valid_graph_of_opset_18_with_names_for_what_may_change(tmp_path):
    maskvfi.export("vfi-s", tmp_path / "out.onnx")
    model = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [x.version for x in model.opset_import if not x.domain] == [18]
    shapes = {
        x.name: [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in (*model.graph.input, *model.graph.output)
    }
    assert shapes["img0"] == ["batch", 3, "height", "width"]
    assert shapes["timestep"] == ["batch", 1, 1, 1]
    assert shapes["frame"] == ["batch", 3, "height", "width"]


def test_nothing_is_overwritten_unasked_and_nothing_is_left_behind(tmp_path):
    target = tmp_path / "out.onnx"
    target.write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"out\.onnx: exists already"):
        maskvfi.export("blend", target)
    assert target.read_bytes() == b"precious"
    maskvfi.export("blend", target, overwrite=True)
    assert target.read_bytes() != b"precious"
    with pytest.raises(ValueError, match=r"out\.txt: the name of a graph ends in \.onnx"):
        maskvfi.export("blend", tmp_path / "out.txt")
    with pytest.raises(ValueError, match="there is no folder"):
        maskvfi.export("blend", tmp_path / "nowhere" / "out.onnx")
    old = tmp_path / "old.safetensors"
    maskvfi.save_weights(old, IFNet(find_variant("4.0")))
    with pytest.raises(
        maskvfi.WeightsError, match=r"old\.safetensors: cannot be exported as one graph: RIFE 4\.0 changes"
    ):
        maskvfi.export(old, tmp_path / "old.onnx")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["old.safetensors", "out.onnx"]


def test_the_command_names_the_inputs_and_refuses_in_one_line(tmp_path):
    done = run("export", "blend", tmp_path / "out.onnx")
    assert done.returncode == 0, done.stderr
    assert b"takes img0, img1, timestep" in done.stderr
    again = run("export", "blend", tmp_path / "out.onnx")
    assert again.returncode == 2
    assert len(again.stderr.splitlines()) == 1
    assert b"exists already" in again.stderr
