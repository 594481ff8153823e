"""The nodes called as ComfyUI calls them: by their tables, with what their sockets carry."""

import inspect
import io
import re
import shutil
import sys
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from clips import make_clip

import maskvfi
from maskvfi.integrations.comfyui import (
    NODE_CLASS_MAPPINGS,
    NODE_DISPLAY_NAME_MAPPINGS,
    comfy_entrypoint,
    video,
)
from maskvfi.integrations.comfyui.nodes import NODES
from maskvfi.pipeline.protect import protect
from maskvfi.video import open_source


def call(name, **inputs):
    """Run a node as ComfyUI does: a fresh object, the method that FUNCTION names, one result per socket."""
    node = NODE_CLASS_MAPPINGS[name]
    sockets = node.INPUT_TYPES()
    assert set(sockets["required"]) <= set(inputs) <= {*sockets["required"], *sockets["optional"]}
    results = getattr(node(), node.FUNCTION)(**inputs)
    assert isinstance(results, tuple)
    assert len(results) == len(node.RETURN_TYPES)
    return results[0]


load = partial(call, "MaskvfiLoad")
interpolate = partial(call, "MaskvfiInterpolate")


@pytest.fixture(scope="module")
def networks():
    return load(vfi="blend", mask="static-s")


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
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS) == {node.id for node in NODES}
    for node in NODES:
        made = NODE_CLASS_MAPPINGS[node.id]
        sockets = made.INPUT_TYPES()
        takes = inspect.signature(node.work).parameters
        if not any(each.kind == each.VAR_KEYWORD for each in takes.values()):
            assert set(takes) == {*sockets["required"], *sockets["optional"]}
        assert made.CATEGORY == "maskvfi"
        assert made.SEARCH_ALIASES
        assert all(isinstance(kind, str) for kind in made.RETURN_TYPES)
        for kind, widget in [*sockets["required"].values(), *sockets["optional"].values()]:
            assert widget["tooltip"].endswith((".", ")"))
            assert not isinstance(kind, list) or widget["default"] in kind


def test_names_and_defaults_are_those_of_the_options():
    sockets = NODE_CLASS_MAPPINGS["MaskvfiLoad"].INPUT_TYPES()["optional"]
    assert sockets["static"] == (
        ["fade", "nearest"],
        {
            "default": "fade",
            "tooltip": 'Still pixels "fade" from frame to frame, or copy the "nearest" one.',
            "advanced": True,
        },
    )
    assert sockets["threshold"][1]["default"] == 0.7
    video = NODE_CLASS_MAPPINGS["MaskvfiInterpolateVideo"].INPUT_TYPES()["optional"]
    assert video["crf"][1]["min"] == video["crf"][1]["default"] == -1  # 0 means lossless
    assert video["scene_cut"] == ("STRING", video["scene_cut"][1])


def test_the_loader_lists_the_weights_there_are():
    choices = NODE_CLASS_MAPPINGS["MaskvfiLoad"].INPUT_TYPES()["required"]
    assert {"vfi-m", "vfi-s", "blend"} <= set(choices["vfi"][0])
    assert {"static-s", "off"} <= set(choices["mask"][0])


def test_a_factor_makes_new_images_between_the_old_ones(networks, images):
    made = interpolate(networks=networks, images=images, factor=3)
    assert made.shape == (13, 48, 80, 3)
    assert (made.dtype, made.device.type) == (torch.float32, "cpu")
    assert torch.equal(made[::3], images)
    assert 0 <= made.min() <= made.max() <= 1
    torch.testing.assert_close(made[1, 40:], images[0, 40:], atol=0.01, rtol=0)
    assert not torch.equal(made[1, :16], images[0, :16])


def test_rates_make_as_many_images_as_they_say(networks, images):
    for rate, fps, count in ((25, 50, 10), (24, 60, 13), (23.976, 59.94, 13), (30, 10, 2)):
        assert len(interpolate(networks=networks, images=images, factor=2, rate=rate, fps=fps)) == count
    with pytest.raises(ValueError, match="fps needs rate"):
        interpolate(networks=networks, images=images, factor=2, fps=50.0)


def test_a_loop_ends_where_it_began(networks, images):
    made = interpolate(networks=networks, images=images, factor=2, loop=True)
    assert len(made) == 10
    torch.testing.assert_close(made[9, 40:], images[0, 40:], atol=0.01, rtol=0)


def test_nothing_is_interpolated_over_a_cut(networks, images):
    film = torch.cat((images / 4, 0.75 + images / 4, images / 4))
    made = interpolate(networks=networks, images=film, factor=2)
    assert torch.equal(made[9], film[4])
    assert torch.equal(made[19], film[9])
    assert not torch.equal(made[7], film[3])
    assert not torch.equal(interpolate(networks=networks, images=film, factor=2, scene_cut="off")[9], film[4])
    assert not torch.equal(interpolate(networks=networks, images=film, factor=2, on_cut="blend")[9], film[4])


@pytest.mark.parametrize("masks", [1, 5])
def test_what_is_protected_is_copied_and_what_is_released_is_not(images, masks):
    plain = load(vfi="vfi-m", mask="off", runtime="torch")
    protect = torch.zeros(masks, 48, 80)
    protect[:, :24, :40] = 1
    made = interpolate(networks=plain, images=images, factor=2, protect=protect)
    faded = (images[0] + images[1]) / 2
    torch.testing.assert_close(made[1, 2:20, 2:36], faded[2:20, 2:36])
    assert (made[1] - faded)[2:20, 44:78].abs().mean() > 0.01
    both = interpolate(networks=plain, images=images, factor=2, protect=protect, release=protect)
    assert (both[1] - faded)[2:20, 2:36].abs().mean() > 0.01
    for wrong, message in (
        (protect[:1].repeat(3, 1, 1), "3 masks for 5 images"),
        (protect[:, :40], "protect mask is"),
    ):
        with pytest.raises(ValueError, match=message):
            interpolate(networks=plain, images=images, factor=2, protect=wrong)


@pytest.mark.parametrize("count", [1, 5])
def test_masks_that_say_nothing_change_nothing(networks, images, count):
    plain = interpolate(networks=networks, images=images, factor=2)
    for size in ((48, 80), (64, 64)):  # the server's own placeholder
        empty = torch.zeros(count, *size)
        assert torch.equal(interpolate(networks=networks, images=images, factor=2, protect=empty), plain)
    dot = torch.zeros(5, 48, 80)
    dot[:, 0, 0] = 1  # masks of each image's own leave all other pixels as they were
    made = interpolate(networks=networks, images=images, factor=2, release=dot)
    assert torch.equal(made[:, 24:], plain[:, 24:])


def test_bright_images_stay_bright_when_they_are_protected_or_cross_faded(networks, images):
    bright = images * 4
    plain = load(vfi="vfi-m", mask="off", runtime="torch")
    theirs = interpolate(networks=plain, images=bright, factor=2)
    made = call("MaskvfiProtect", networks=networks, images=bright, interpolated=theirs)
    assert torch.equal(made[::2], theirs[::2])
    assert made[1].max() > 2
    film = torch.cat((images[:1].repeat(3, 1, 1, 1) / 4, bright[:1].flip(2).repeat(3, 1, 1, 1)))
    faded = interpolate(networks=networks, images=film, factor=2, on_cut="blend")
    torch.testing.assert_close(faded[5], (film[2] + film[3]) / 2)
    said = call("MaskvfiStaticMask", networks=networks, images=bright)
    broken = bright.clone()
    broken[1, 0, 0] = float("nan")
    assert torch.isfinite(call("MaskvfiStaticMask", networks=networks, images=broken)).all()
    assert said.shape == (4, 48, 80)


def test_every_image_has_its_own_protected_pixels(images):
    plain = load(vfi="vfi-m", mask="off", runtime="torch")
    protect = torch.zeros(5, 48, 80)
    protect[3:, :24] = 1
    made = interpolate(networks=plain, images=images, factor=2, protect=protect)
    torch.testing.assert_close(made[7, 2:20, 2:78], ((images[3] + images[4]) / 2)[2:20, 2:78])
    assert (made[1] - (images[0] + images[1]) / 2)[2:20, 2:78].abs().mean() > 0.01


def test_one_image_stays_one(networks, images):
    assert torch.equal(interpolate(networks=networks, images=images[:1], factor=4), images[:1])


def test_the_mask_says_what_stands_still(networks, images):
    found = call("MaskvfiStaticMask", networks=networks, images=images.repeat(2, 1, 1, 1)[:7])
    assert found.shape == (6, 48, 80)
    assert found[0, 34:].mean() > 0.85
    assert found[0, :14].mean() < 0.2
    with pytest.raises(ValueError, match="two images"):
        call("MaskvfiStaticMask", networks=networks, images=images[:1])
    with pytest.raises(ValueError, match="without a mask"):
        call("MaskvfiStaticMask", networks=load(vfi="blend", mask="off"), images=images)


@pytest.mark.parametrize("extra", [0, 2])
def test_another_nodes_images_get_their_still_pixels_back(networks, images, extra):
    """(N-1)*3+1 images, or N*3 as other nodes give."""
    theirs = images.repeat_interleave(3, 0)[: 13 + extra].clone()
    theirs[1::3, 36:46] = 1 - theirs[1::3, 36:46]
    given = {"networks": networks, "images": images, "interpolated": theirs}
    made = call("MaskvfiProtect", scene_cut="off", **given)
    assert made.shape == theirs.shape
    assert ((made[1, 38:44] - images[0, 38:44]).abs() < 0.02).float().mean() > 0.9
    assert ((theirs[1, 38:44] - images[0, 38:44]).abs() < 0.02).float().mean() < 0.2
    still = call("MaskvfiStaticMask", networks=networks, images=images)
    for n in range(12):
        moves = still[n // 3] < 0.5  # below threshold - feather, with room for rounding
        assert moves.float().mean() > 0.2
        assert torch.equal(made[n, moves], theirs[n, moves])
    assert torch.equal(made[13:], theirs[13:])


def test_images_brighter_than_white_stay_so(networks, images):
    made = call("MaskvfiInterpolate", networks=networks, images=images * 4, factor=2, scene_cut="off")
    assert torch.equal(made[::2], images * 4)
    assert made[1::2].amax() > 2
    plain = call("MaskvfiInterpolate", networks=networks, images=images, factor=2, scene_cut="off")
    assert ((made - plain * 4).abs().mean()) < 0.1


def test_images_over_a_cut_and_equal_ones_are_protected_as_in_a_video(networks, images):
    film = torch.cat((images / 4, 0.75 + images / 4))
    theirs = film.repeat_interleave(2, 0)[:19].clone()
    theirs[1::2] = 0.5
    made = call("MaskvfiProtect", networks=networks, images=film, interpolated=theirs)
    assert torch.equal(made[9], theirs[9])  # over the cut
    held = images[:1].repeat(3, 1, 1, 1)
    made = call("MaskvfiProtect", networks=networks, images=held, interpolated=theirs[:5])
    torch.testing.assert_close(made[1], held[0])
    release = torch.zeros(1, 48, 80)
    release[:, :, 40:] = 1
    made = call("MaskvfiProtect", networks=networks, images=held, interpolated=theirs[:5], release=release)
    torch.testing.assert_close(made[1, :, :38], held[0, :, :38])
    torch.testing.assert_close(made[1, :, 42:], theirs[1, :, 42:])


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
    made = interpolate(networks=networks, images=images.half(), factor=2)
    assert made.dtype == torch.float16
    assert torch.equal(made[::2], images.half())


def test_opacity_is_interpolated_too(networks, images):
    alpha = torch.linspace(0, 1, 5).view(5, 1, 1, 1).expand(5, 48, 80, 1)
    seen = torch.cat((images, alpha), dim=-1)
    made = interpolate(networks=networks, images=seen, factor=2)
    assert torch.equal(made[::2], seen)
    assert made[3, 40:, :, 3].mean() == pytest.approx(0.375, abs=0.05)
    with pytest.raises(ValueError, match="not 1"):
        interpolate(networks=networks, images=images[..., :1], factor=2)


def test_a_video_is_interpolated_from_file_to_file(networks, tmp_path):
    source = make_clip(tmp_path / "in.mp4", times=6, audio="aac")
    made = call("MaskvfiInterpolateVideo", networks=networks, video=source, factor=2, crf=0.0)
    try:
        with open_source(made) as reader:
            assert reader.info.has_audio
            assert len(list(reader)) == 11
    finally:
        shutil.rmtree(made.parent)


def test_another_programs_video_gets_its_still_pixels_back(tmp_path):
    """The work is that of `maskvfi protect`, which has tests of its own."""
    networks = load(vfi="blend", mask="static-s")
    source = make_clip(tmp_path / "in.mp4", times=6, audio="aac")
    theirs = call("MaskvfiInterpolateVideo", networks=networks, video=source, factor=2)
    made = call("MaskvfiProtectVideo", networks=networks, video=source, interpolated=theirs, crf=-1, codec="")
    with open_source(made) as reader:
        assert len(list(reader)) == 11
    for path in (theirs, made):
        shutil.rmtree(path.parent)


class Interrupted(BaseException):
    pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """As much of the server's modules as the nodes use: the steps shown, and a count after which Cancel is pressed."""
    state = {"steps": [], "checks": 0, "cancel_at": None, "loaded": [], "images": torch.device("cpu")}

    class ProgressBar:
        def __init__(self, total):
            self.total = total

        def update_absolute(self, value, total=None):
            state["steps"].append((value, total))

    class ModelPatcher:
        def __init__(self, model, load_device, offload_device):
            self.model = model

    def check():
        state["checks"] += 1
        if state["checks"] == state["cancel_at"]:
            raise Interrupted

    def load_models_gpu(models, memory_required=0, force_full_load=False):
        state["loaded"].append(([type(each.model).__name__ for each in models], memory_required))

    def add_model_folder_path(name, path):
        folders.folder_names_and_paths[name] = ([path], set())

    def get_filename_list(name):
        return [path.name for path in Path(folders.folder_names_and_paths[name][0][0]).glob("*")]

    modules = {
        name: ModuleType(name)
        for name in ("comfy", "comfy.utils", "comfy.model_management", "comfy.model_patcher", "folder_paths")
    }
    modules["comfy.utils"].ProgressBar = ProgressBar
    modules["comfy.model_patcher"].ModelPatcher = ModelPatcher
    manager, folders = modules["comfy.model_management"], modules["folder_paths"]
    manager.throw_exception_if_processing_interrupted = check
    manager.load_models_gpu = load_models_gpu
    manager.get_torch_device = manager.unet_offload_device = lambda: torch.device("cpu")
    manager.intermediate_device = lambda: state["images"]
    folders.folder_names_and_paths, folders.models_dir = {}, str(tmp_path / "models")
    folders.add_model_folder_path, folders.get_filename_list = add_model_folder_path, get_filename_list
    folders.get_full_path = lambda name, file: str(Path(folders.folder_names_and_paths[name][0][0]) / file)
    folders.get_temp_directory = lambda: str(tmp_path / "temp")
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return state


def test_the_server_sees_every_image_and_can_interrupt_within_one(images, server):
    networks = load(vfi="vfi-s", mask="static-s", runtime="torch")
    interpolate(networks=networks, images=images, factor=2)
    assert server["steps"] == [(k, 9) for k in range(1, 10)]
    assert server["checks"] > 90  # many in every new image
    server.update(steps=[], checks=0, cancel_at=server["checks"] * 3 // 4)
    with pytest.raises(Interrupted):
        interpolate(networks=networks, images=images, factor=2)
    assert 0 < len(server["steps"]) < 9
    server["cancel_at"] = None
    checks = server["checks"]
    assert images.sum() > 0
    assert server["checks"] == checks  # of nobody else's operations
    assert len(interpolate(networks=networks, images=images, factor=2)) == 9


def test_the_server_makes_room_for_the_networks(images, server):
    networks = load(vfi="vfi-s", mask="static-s", runtime="torch")
    assert server["loaded"] == []
    interpolate(networks=networks, images=images, factor=2)
    ((names, memory),) = server["loaded"]
    assert names[1] == "StaticMaskNet"
    assert len(names) == 2
    assert memory > 48 * 80 * 100


def test_a_server_that_wants_float32_gets_it(server, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    with load(vfi="vfi-s", mask="static-s").ready(64, 48) as (interpolator, _):
        assert interpolator.precision == "bf16"
    sys.modules["comfy.model_management"].FORCE_FP32 = True
    with load(vfi="vfi-s", mask="static-s").ready(64, 48) as (interpolator, _):
        assert (interpolator.precision, interpolator.mask.head.weight.dtype) == ("fp32", torch.float32)


def test_images_go_where_the_server_keeps_them(images, server):
    """With --gpu-only that is the card; the device "meta" stands for one here."""
    networks = load(vfi="blend", mask="static-s")
    server["images"] = torch.device("meta")
    assert interpolate(networks=networks, images=images, factor=2).device.type == "meta"
    assert call("MaskvfiStaticMask", networks=networks, images=images).device.type == "meta"
    theirs = images.repeat_interleave(2, 0)
    made = call("MaskvfiProtect", networks=networks, images=images, interpolated=theirs)
    assert made.device.type == "meta"


def test_files_of_the_servers_folder_can_be_loaded(server, tmp_path):
    folder = tmp_path / "models" / "frame_interpolation"
    folder.mkdir(parents=True)
    weights = Path(__file__).parents[2] / "weights" / "vfi-s.safetensors"
    (folder / "rife_of_somebody.safetensors").write_bytes(weights.read_bytes())
    (folder / "readme.txt").write_text("none")
    choices = NODE_CLASS_MAPPINGS["MaskvfiLoad"].INPUT_TYPES()["required"]["vfi"][0]
    assert "rife_of_somebody.safetensors" in choices
    assert "readme.txt" not in choices
    assert load(vfi="rife_of_somebody.safetensors", mask="off").options.vfi.parent == folder


def test_a_cancelled_video_leaves_nothing_behind(server, tmp_path):
    networks = load(vfi="vfi-s", mask="static-s", runtime="torch")
    source = make_clip(tmp_path / "in.mp4", times=8)
    server["cancel_at"] = server["checks"] + 150
    with pytest.raises(Interrupted):
        call("MaskvfiInterpolateVideo", networks=networks, video=source, factor=2)
    assert server["steps"]
    assert list((tmp_path / "temp").iterdir()) == []


class Video:
    """A video as servers of all ages pass it on."""

    def __init__(self, path):
        self.path = path

    def get_dimensions(self):
        return 64, 48

    def save_to(self, path):
        Path(path).write_bytes(self.path.read_bytes())


class Streamed(Video):
    def get_stream_source(self):
        return io.BytesIO(self.path.read_bytes())

    def get_container_format(self):
        return "mov,mp4,m4a,3gp,3g2,mj2"


class Trimmed(Video):
    def get_stream_source(self):
        return str(self.path)

    def get_active_trim_window(self):
        return 2 / 25, 3 / 25


class Written(Trimmed):
    def save_to(self, path):  # as the server does
        window = {"start": 2 / 25, "end": 5 / 25}
        maskvfi.interpolate(self.path, path, factor=1, vfi="blend", mask=None, device="cpu", **window)


@pytest.mark.parametrize(("kind", "first", "count"), [(Video, 0, 15), (Streamed, 0, 15), (Trimmed, 2, 5)])
def test_a_servers_video_is_read_as_what_it_is(kind, first, count, server, tmp_path):
    networks = load(vfi="blend", mask="static-s")
    source = make_clip(tmp_path / "in.mp4", times=8)
    made = call("MaskvfiInterpolateVideo", networks=networks, video=kind(source), factor=2)
    with open_source(made) as reader, open_source(source) as original:
        frames, before = list(reader), list(original)
    assert len(frames) == count
    assert np.abs(frames[0].planes[0].astype(int) - before[first].planes[0]).mean() < 4


def test_a_trimmed_source_is_protected_from_its_own_part(server, tmp_path, monkeypatch):
    networks = load(vfi="blend", mask="static-s")
    source = Written(make_clip(tmp_path / "in.mp4", times=8))
    theirs = call("MaskvfiInterpolateVideo", networks=networks, video=source, factor=2)
    counted = []

    def counting(source, *more, **options):
        with open_source(source) as reader:
            counted.append(len(list(reader)))
        return protect(source, *more, **options)

    monkeypatch.setattr(video, "protect", counting)
    made = call("MaskvfiProtectVideo", networks=networks, video=source, interpolated=Video(theirs))
    assert counted == [3]
    with open_source(made) as reader:
        assert len(list(reader)) == 5
    assert [*made.parent.iterdir()] == [made]  # copies of the inputs are gone


def test_a_video_that_is_trimmed_and_changed_is_trimmed_once(server, tmp_path):
    class Changed(Written):
        def has_pending_frame_edits(self):
            return True

    networks = load(vfi="blend", mask="static-s")
    changed = Changed(make_clip(tmp_path / "in.mp4", times=8))
    made = call("MaskvfiInterpolateVideo", networks=networks, video=changed, factor=2)
    with open_source(made) as reader:
        assert len(list(reader)) == 5


def test_outside_of_a_server_there_is_no_third_schema():
    assert comfy_entrypoint is None


def test_the_folder_for_the_registry_has_the_nodes_and_the_version():
    folder = Path(__file__).parents[2] / "comfyui"
    spec = spec_from_file_location("comfyui_node", folder / "__init__.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.NODE_CLASS_MAPPINGS is NODE_CLASS_MAPPINGS
    version = re.search(r'^version = "(.+)"$', (folder.parent / "pyproject.toml").read_text("utf-8"), re.M)[1]
    assert f'version = "{version}"' in (folder / "pyproject.toml").read_text("utf-8")
