"""The nodes called as ComfyUI calls them: by their tables, with what their sockets carry."""

import inspect
import re
import sys
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from maskvfi.integrations import comfyui
from maskvfi.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from maskvfi.synthesis.interpolator import Interpolator


def call(name, **inputs):
    """Run a node as ComfyUI does: a fresh object, the method that FUNCTION names, one result per socket."""
    node = NODE_CLASS_MAPPINGS[name]
    sockets = node.INPUT_TYPES()
    assert set(sockets["required"]) <= set(inputs) <= {*sockets["required"], *sockets.get("optional", {})}
    results = getattr(node(), node.FUNCTION)(**inputs)
    assert isinstance(results, tuple)
    assert len(results) == len(node.RETURN_TYPES)
    return results[0]


@pytest.fixture(scope="module")
def networks():
    return call("MaskvfiLoad", vfi="blend", mask="static-s")


@pytest.fixture(scope="module")
def images():
    """Five images [5,48,80,3]: the upper half moves by 3 px a frame, the lower half stands."""
    torch.manual_seed(0)
    sheet = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 20), (48, 80), mode="bicubic").clamp(0, 1)
    batch = sheet.repeat(5, 1, 1, 1)
    for k in range(5):
        batch[k, :, :24] = sheet[0, :, :24].roll(3 * k, -1)
    return batch.permute(0, 2, 3, 1).contiguous()


def test_every_node_keeps_the_contract():
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    for node in NODE_CLASS_MAPPINGS.values():
        sockets = node.INPUT_TYPES()
        takes = inspect.signature(getattr(node, node.FUNCTION)).parameters
        assert set(takes) - {"self"} == {*sockets["required"], *sockets.get("optional", {})}
        assert node.CATEGORY == "maskvfi"
        assert all(isinstance(kind, str) for kind in node.RETURN_TYPES)


def test_the_loader_lists_the_weights_there_are():
    choices = NODE_CLASS_MAPPINGS["MaskvfiLoad"].INPUT_TYPES()["required"]
    assert {"vfi-m", "vfi-s", "blend"} <= set(choices["vfi"][0])
    assert {"static-s", "off"} <= set(choices["mask"][0])


def test_a_factor_makes_new_images_between_the_old_ones(networks, images):
    made = call("MaskvfiInterpolate", networks=networks, images=images, factor=3)
    assert made.shape == (13, 48, 80, 3)
    assert (made.dtype, made.device.type) == (torch.float32, "cpu")
    assert torch.equal(made[::3], images)
    assert 0 <= made.min() <= made.max() <= 1
    torch.testing.assert_close(made[1, 40:], images[0, 40:], atol=0.01, rtol=0)
    assert not torch.equal(made[1, :16], images[0, :16])


def test_rates_make_as_many_images_as_they_say(networks, images):
    for fps_in, fps_out, count in ((25, 50, 10), (24, 60, 13), (23.976, 59.94, 13), (30, 10, 2)):
        made = call(
            "MaskvfiInterpolate", networks=networks, images=images, factor=2, fps_in=fps_in, fps_out=fps_out
        )
        assert len(made) == count
    with pytest.raises(ValueError, match="fps_out needs fps_in"):
        call("MaskvfiInterpolate", networks=networks, images=images, factor=2, fps_out=50.0)


@pytest.mark.parametrize("masks", [1, 5])
def test_what_is_protected_is_copied(images, masks, monkeypatch):
    monkeypatch.setattr(comfyui, "Interpolator", partial(Interpolator, runtime="torch"))
    plain = call("MaskvfiLoad", vfi="vfi-m", mask="off")
    protect = torch.zeros(masks, 48, 80)
    protect[:, :24, :40] = 1
    made = call("MaskvfiInterpolate", networks=plain, images=images, factor=2, protect=protect)
    faded = (images[0] + images[1]) / 2
    torch.testing.assert_close(made[1, 2:20, 2:36], faded[2:20, 2:36])
    assert (made[1] - faded)[2:20, 44:78].abs().mean() > 0.01
    with pytest.raises(ValueError, match="3 masks for 5 images"):
        call(
            "MaskvfiInterpolate", networks=plain, images=images, factor=2, protect=protect[:1].repeat(3, 1, 1)
        )


def test_one_image_stays_one(networks, images):
    assert torch.equal(call("MaskvfiInterpolate", networks=networks, images=images[:1], factor=4), images[:1])


def test_the_mask_says_what_stands_still(networks, images):
    found = call("MaskvfiStaticMask", networks=networks, images=images.repeat(2, 1, 1, 1)[:7])
    assert found.shape == (6, 48, 80)
    assert found[0, 34:].mean() > 0.9
    assert found[0, :14].mean() < 0.2
    with pytest.raises(ValueError, match="two images"):
        call("MaskvfiStaticMask", networks=networks, images=images[:1])
    with pytest.raises(ValueError, match="without a mask"):
        call("MaskvfiStaticMask", networks=call("MaskvfiLoad", vfi="blend", mask="off"), images=images)


@pytest.mark.parametrize("extra", [0, 2])
def test_another_nodes_images_get_their_still_pixels_back(networks, images, extra):
    """(N-1)*3+1 images, or N*3 as other nodes give."""
    theirs = images.repeat_interleave(3, 0)[: 13 + extra].clone()
    theirs[1::3, 36:46] = 1 - theirs[1::3, 36:46]
    made = call("MaskvfiProtect", networks=networks, images=images, interpolated=theirs)
    assert made.shape == theirs.shape
    torch.testing.assert_close(made[1, 38:44], images[0, 38:44], atol=0.02, rtol=0)
    still = call("MaskvfiStaticMask", networks=networks, images=images)
    for n in range(12):
        moves = still[n // 3] < 0.35  # threshold - feather
        assert moves.float().mean() > 0.2
        assert torch.equal(made[n, moves], theirs[n, moves])
    assert torch.equal(made[13:], theirs[13:])


def test_what_cannot_be_protected_is_refused(networks, images):
    for theirs, message in (
        (images[:4], "5 images cannot have become 4"),
        (images[:, :40], "interpolated ones 80x40"),
    ):
        with pytest.raises(ValueError, match=message):
            call("MaskvfiProtect", networks=networks, images=images, interpolated=theirs)
    with pytest.raises(ValueError, match="two images or more"):
        call("MaskvfiProtect", networks=networks, images=images[:1], interpolated=images[:1])


def test_half_precision_comes_back_as_such(networks, images):
    made = call("MaskvfiInterpolate", networks=networks, images=images.half(), factor=2)
    assert made.dtype == torch.float16
    assert torch.equal(made[::2], images.half())


class Interrupted(Exception):
    pass


@pytest.fixture
def server(monkeypatch):
    """As much of the server's modules as the nodes use: the steps shown, and a count after which Cancel is pressed."""
    state = {"steps": [], "checks": 0, "cancel_at": None}

    class ProgressBar:
        def __init__(self, total):
            self.total = total

        def update_absolute(self, value, total=None):
            state["steps"].append((value, total))

    def check():
        state["checks"] += 1
        if state["checks"] == state["cancel_at"]:
            raise Interrupted

    modules = {name: ModuleType(name) for name in ("comfy", "comfy.utils", "comfy.model_management")}
    modules["comfy.utils"].ProgressBar = ProgressBar
    modules["comfy.model_management"].throw_exception_if_processing_interrupted = check
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return state


def test_the_server_sees_every_image_and_can_interrupt_within_one(images, server, monkeypatch):
    monkeypatch.setattr(comfyui, "Interpolator", partial(Interpolator, runtime="torch"))
    networks = call("MaskvfiLoad", vfi="vfi-s", mask="static-s")
    call("MaskvfiInterpolate", networks=networks, images=images, factor=2)
    assert server["steps"] == [(k, 9) for k in range(1, 10)]
    assert server["checks"] > 90  # many in every new image
    server.update(steps=[], checks=0, cancel_at=server["checks"] // 2)
    with pytest.raises(Interrupted):
        call("MaskvfiInterpolate", networks=networks, images=images, factor=2)
    assert 0 < len(server["steps"]) < 9
    assert not any(layer._forward_pre_hooks for layer in networks.mask.modules())


def test_the_folder_for_the_registry_has_the_nodes_and_the_version():
    folder = Path(__file__).parents[2] / "comfyui"
    spec = spec_from_file_location("comfyui_node", folder / "__init__.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.NODE_CLASS_MAPPINGS is NODE_CLASS_MAPPINGS
    version = re.search(r'^version = "(.+)"$', (folder.parent / "pyproject.toml").read_text("utf-8"), re.M)[1]
    assert f'version = "{version}"' in (folder / "pyproject.toml").read_text("utf-8")
