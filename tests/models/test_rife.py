"""The RIFE family: golden vectors of every 4.x network, detection, sizes, times and errors."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import seeded
import torch
from safetensors.numpy import load_file

from maskvfi import WeightsError, load_vfi, save_weights
from maskvfi.models.base import as_timestep
from maskvfi.models.rife import VARIANTS, IFNet, Variant, find_variant
from maskvfi.models.rife.reference import PlainIFNet
from maskvfi.runtimes import on_device

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SHAPES = json.loads((GOLDEN.parent / "rife_shapes.json").read_text())
FAMILIES = [variant.family for variant in VARIANTS]


@cache
def weights(family: str, boost: tuple = ()) -> dict[str, torch.Tensor]:
    shapes = {key: tuple(shape) for key, shape in SHAPES[family].items()}
    return {
        key: torch.from_numpy(value) for key, value in seeded.seeded_state_dict(shapes, dict(boost)).items()
    }


@cache
def inputs() -> dict[str, np.ndarray]:
    return load_file(GOLDEN / "inputs.safetensors")


def frames(case: dict) -> list[torch.Tensor]:
    return [
        torch.from_numpy(np.stack([inputs()[f"{name}/{side}"] for name in case["inputs"]])).permute(
            0, 3, 1, 2
        )
        / 255
        for side in (0, 1)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_golden_case_of_a_family_is_reproduced(family: str):
    tensors, cases, _ = seeded.load_golden(str(GOLDEN / f"rife_{family}.safetensors"))
    assert cases
    for case in cases:
        network = load_vfi(weights(family, tuple((case.get("boost") or {}).items())), variant=family)
        img0, img1 = frames(case)
        time = torch.as_tensor(case["t"], dtype=torch.float32).reshape(-1, 1, 1, 1)
        with torch.inference_mode():
            out = network(img0, img1, time, case["scale"], case["ensemble"])
            *_, last = network.stages(img0, img1, as_timestep(time, img0), case["scale"], case["ensemble"])
        assert list(last.flow.shape[-2:]) == case["padded_hw"]
        for name, got, size, tolerance in (
            ("merged", out.frame, (48, 64), 3e-4),
            ("flow", last.flow, (36, 48), 2e-3),
            ("mask_logit", last.logit, (36, 48), 2e-3),
        ):
            error = seeded.compare(seeded.sample(got.numpy(), *size), tensors[f"{case['id']}/{name}"])
            assert error["shape_ok"], (family, case["id"], name)
            assert error["max"] < tolerance, (family, case["id"], name, error)


@pytest.mark.cuda
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 2e-3), (torch.float16, 0.05)])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_card_gives_the_golden_frames(family: str, precision: torch.dtype, tolerance: float):
    tensors, cases, _ = seeded.load_golden(str(GOLDEN / f"rife_{family}.safetensors"))
    for case in cases:
        network = load_vfi(weights(family, tuple((case.get("boost") or {}).items())), variant=family)
        network = on_device(network, torch.device("cuda"), precision)
        img0, img1 = (frame.cuda() for frame in frames(case))
        time = torch.as_tensor(case["t"], dtype=torch.float32).reshape(-1, 1, 1, 1).cuda()
        with torch.inference_mode():
            frame = network(img0, img1, time, case["scale"], case["ensemble"]).frame.float().cpu()
        error = seeded.compare(seeded.sample(frame.numpy(), 48, 64), tensors[f"{case['id']}/merged"])
        assert error["shape_ok"], (family, case["id"])
        assert error["max"] < tolerance, (family, case["id"], error)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_found_from_keys_and_shapes(family: str):
    state = {f"module.{key}": value for key, value in weights(family).items()}
    state["module.teacher.conv0.0.0.weight"] = torch.zeros(1)
    assert load_vfi(state).variant == find_variant(family)


def test_an_encoder_under_other_layer_names_still_loads():
    sequential = weights("4.10")
    network = load_vfi(sequential, variant="4.18")
    assert network.variant.family == "4.13"
    assert torch.equal(network.encode.cnn3.weight, sequential["encode.6.weight"])


def test_a_version_name_overrides_what_the_shapes_say():
    assert load_vfi(weights("4.25"), variant="4.26").variant.versions == ("4.25", "4.26")
    with pytest.raises(WeightsError, match="size mismatch"):
        load_vfi(weights("4.25"), variant="4.25.lite")
    with pytest.raises(ValueError, match=r"unknown RIFE variant '4\.99'"):
        load_vfi(weights("4.25"), variant="4.99")


def test_an_unofficial_width_survives_saving_and_loading(tmp_path: Path):
    narrow = replace(find_variant("4.25"), family="narrow", versions=(), channels=(16, 16, 8, 8, 8))
    save_weights(tmp_path / "narrow.safetensors", IFNet(narrow), steps=3)
    assert load_vfi(tmp_path / "narrow.safetensors").variant == narrow


@pytest.mark.parametrize("ensemble", [False, True])
def test_shrunk_frames_give_the_flow_of_small_frames_enlarged(ensemble: bool):
    small = replace(find_variant("4.0"), family="small", dynamic_scale=False)
    shrunk = replace(small, scales=tuple(2 * scale for scale in small.scales), shrink=2)
    plain, network = load_vfi(weights("4.0"), variant="4.0"), IFNet(shrunk).eval()
    network.load_state_dict(plain.state_dict())
    halved = IFNet(small).eval()
    halved.load_state_dict(plain.state_dict())
    img0, img1 = torch.rand(2, 1, 3, 128, 192, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        found = network(img0, img1, 0.3, ensemble=ensemble)
        expected = halved(
            *(torch.nn.functional.avg_pool2d(x, 2) for x in (img0, img1)), 0.3, ensemble=ensemble
        )
    flow = 2 * torch.nn.functional.interpolate(expected.flow, scale_factor=2, mode="bilinear")
    assert flow.abs().mean() > 0.1
    torch.testing.assert_close(found.flow, flow, atol=1e-3, rtol=1e-3)
    assert found.frame.shape == img0.shape


@pytest.mark.parametrize(
    "wrong",
    [
        {"shrink": 3},
        {"shrink": 2, "dynamic_scale": True},
        {"shrink": "2"},
        {"sampling": "nearest"},
        {"scales": [8.5, 4, 2, 1]},
        {"scales": [6, 4, 2, 1]},
        {"scales": [1, 2, 4, 8]},
    ],
)
def test_a_header_with_a_rule_that_no_network_has_is_refused(wrong: dict):
    header = find_variant("4.6").to_dict() | wrong
    with pytest.raises((ValueError, TypeError)):
        Variant.from_dict(header)


def test_weights_from_before_there_was_bicubic_sampling_make_the_frames_they_made():
    header = find_variant("vfi-m").to_dict()
    del header["sampling"]
    assert Variant.from_dict(header).sampling == "bilinear"


def test_bicubic_samples_do_not_read_what_is_padded():
    torch.manual_seed(0)
    white = torch.ones(1, 3, 33, 45)
    network = IFNet(replace(find_variant("vfi-m"), channels=(8, 8, 8, 8))).eval()
    with torch.inference_mode():
        out = network(white, white, 0.4)
    assert out.flow.abs().max() > 0.01
    torch.testing.assert_close(out.frame, white)


@pytest.mark.parametrize("family", ["4.0", "4.6", "4.25"])
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (65, 3), (31, 130)])
def test_any_size_from_one_pixel_up(family: str, size: tuple[int, int]):
    frame = torch.rand(2, 3, *size)
    with torch.inference_mode():
        out = load_vfi(weights(family))(frame, frame.flip(0), 0.3)
    assert out.frame.shape == frame.shape
    assert out.flow.shape == (2, 4, *size)
    assert out.blend.shape == (2, 1, *size)
    assert out.frame.isfinite().all()


def test_each_batch_item_may_have_its_own_time():
    network = load_vfi(weights("4.6"))
    img0, img1 = torch.rand(2, 3, 40, 48), torch.rand(2, 3, 40, 48)
    with torch.inference_mode():
        both = network(img0, img1, torch.tensor([0.2, 0.8]).reshape(2, 1, 1, 1)).frame
        alone = network(img0[1:], img1[1:], 0.8).frame
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_the_user_scale_changes_the_padding_not_the_size():
    network = load_vfi(weights("4.25"))
    frame = torch.rand(1, 3, 50, 70)
    with torch.inference_mode():
        for scale in (0.25, 0.5, 2.0):
            assert network(frame, frame, 0.5, scale=scale).frame.shape == frame.shape


def test_motion_doubling_of_4_0_works_at_sizes_off_its_own_grid():
    network = load_vfi(weights("4.0", (("block1.lastconv", 60.0),)))
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 224, 96), torch.rand(1, 3, 224, 96))
    assert out.frame.shape == (1, 3, 224, 96)


def test_training_sees_every_block_once_where_motion_doubles_the_scales():
    network = load_vfi(weights("4.0", (("block1.lastconv", 60.0),)))
    with torch.inference_mode():
        stages = list(
            network.stages(torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96), torch.tensor([[[[0.5]]]]))
        )
    assert [len(stage.parts) for stage in stages] == [1, 2, 3, 4]


def test_wrong_calls_are_refused_with_the_reason():
    network = load_vfi(weights("4.25"))
    frame = torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"no ensemble mode \(RIFE 4\.0 to 4\.20 and 4\.24 have one\)$"):
        network(frame, frame, ensemble=True)
    with pytest.raises(ValueError, match=r"timestep must lie in 0\.\.1"):
        network(frame, frame, 1.5)
    with pytest.raises(ValueError, match="differ in shape"):
        network(frame, frame[..., 1:])
    for scale in (0, -1, 0.75, 1.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="scale must be a power of two"):
            network(frame, frame, scale=scale)
    with pytest.raises(ValueError, match=r"float \[B,3,H,W\]"):
        network(frame[:, :1], frame[:, :1])


def test_half_precision_weights_keep_coordinates_in_float32():
    network = load_vfi(weights("4.25"))
    img0, img1 = frames({"inputs": ["syn_256x192"]})
    with torch.inference_mode():
        exact = network(img0, img1)
        half = network.bfloat16()(img0, img1)
    assert half.frame.dtype == img0.dtype
    assert half.flow.dtype == torch.float32
    assert (half.frame - exact.frame).abs().mean() < 0.02


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("family", [f for f in FAMILIES if f.count(".") == 1 or "lite" in f])
def test_savings_do_not_change_the_frame(family: str, scale: float):
    """Warping only what is read, folding and leaving out: the same as everything at full size."""
    network = load_vfi(weights(family), variant=family)
    plain = PlainIFNet(network.variant).eval()
    plain.load_state_dict(network.state_dict())
    small = torch.rand(2, 3, 14, 20, generator=torch.Generator().manual_seed(1))
    img0, img1 = torch.nn.functional.interpolate(small, (109, 157), mode="bicubic").clamp(0, 1).split(1)
    with torch.inference_mode():
        ours, theirs = (x(img0, img1, 0.3, scale) for x in (network, plain))
    assert theirs.flow.abs().mean() > 0.05
    torch.testing.assert_close(ours.frame, theirs.frame, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.flow, theirs.flow, atol=1e-3, rtol=1e-3)
