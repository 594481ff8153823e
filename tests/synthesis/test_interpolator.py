"""Two frames and a time in, one frame out, for every kind of frame a caller may have."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import maskvfi
from maskvfi.models.base import Runtime
from maskvfi.synthesis.compose import moving_layer, still_layer
from maskvfi.synthesis.copied import still_weight

CPU = {"device": "cpu", "runtime": "torch"}


@pytest.fixture(scope="module")
def interpolator() -> maskvfi.Interpolator:
    return maskvfi.Interpolator(**CPU)


def pictures(dtype: type, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    return tuple(rng.integers(0, top + 1, shape).astype(dtype) for _ in range(2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(40, 52, 3), (2, 40, 52, 3)])
def test_arrays_come_back_as_the_arrays_they_are(interpolator, dtype, shape):
    out = interpolator(*pictures(dtype, shape), 0.5)
    assert out.dtype == dtype
    assert out.shape == shape


@pytest.mark.parametrize("shape", [(3, 40, 52), (2, 3, 40, 52)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_tensors_come_back_as_the_tensors_they_are(interpolator, shape, dtype):
    out = interpolator(torch.rand(shape, dtype=dtype), torch.rand(shape, dtype=dtype), 0.25)
    assert out.dtype == dtype
    assert out.shape == shape


def test_a_tensor_that_comes_back_can_be_changed_and_used_in_a_loss(interpolator):
    out = interpolator(torch.rand(3, 40, 52), torch.rand(3, 40, 52), 0.5)
    weight = torch.ones(1, requires_grad=True)
    (out.mul_(2) * weight).sum().backward()
    assert weight.grad == out.sum()


def test_arrays_and_tensors_give_the_same_picture(interpolator):
    a, b = pictures(np.uint8, (40, 52, 3))
    tensors = [torch.from_numpy(x).permute(2, 0, 1) / 255 for x in (a, b)]
    expected = (interpolator(*tensors, 0.5) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(interpolator(a, b, 0.5).astype(int) - expected).max() <= 1


def test_a_batch_gives_what_its_frames_give_alone(interpolator):
    a, b = torch.rand(2, 3, 40, 52), torch.rand(2, 3, 40, 52)
    times = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1)
    assert torch.allclose(interpolator(a, b, times)[1], interpolator(a[1], b[1], 0.75), atol=1e-4)


@pytest.mark.parametrize(
    ("height", "tile", "share"), [(4320, "auto", 0.5), (2160, "auto", 1), (4320, 1024, 1)]
)
def test_large_frames_are_computed_in_smaller_tiles_unless_the_tile_is_chosen(height, tile, share):
    interpolator = maskvfi.Interpolator("vfi-m", None, **CPU, tile=tile)
    frame = torch.zeros(1, 3, 1, 1).expand(1, 3, height, height * 16 // 9)
    gap = interpolator.gap(interpolator.view(frame), interpolator.view(frame), None, [])
    areas = [part.box.area for part, _ in gap.tiles]
    assert 0.6 * share * interpolator.at_once < max(areas) <= share * interpolator.at_once


@pytest.mark.parametrize("value", [0, 1, 77, 128, 254, 255])
def test_identical_frames_come_back_unchanged(value):
    everything = maskvfi.Interpolator(**CPU, protect=torch.ones(33, 47))
    frame = np.full((33, 47, 3), value, np.uint8)
    assert np.array_equal(everything(frame, frame, 0.37), frame)


def test_painted_masks_win_over_the_network():
    a, b = torch.rand(1, 3, 32, 64), torch.rand(1, 3, 32, 64)
    left = torch.zeros(32, 64)
    left[:, :32] = 1
    plain = maskvfi.load_vfi("vfi-m")(a, b, 0.5)
    moving = moving_layer(plain.motion, a, b, left[None, None]).frame
    guarded = maskvfi.Interpolator(**CPU, precision="fp32", protect=left, release=1 - left)(a, b, 0.5)
    assert torch.allclose(guarded[..., :32], ((a + b) / 2)[..., :32], atol=1e-6)
    assert torch.allclose(guarded[..., 32:], moving[..., 32:], atol=1e-6)


def test_a_painted_mask_may_be_an_array_and_lies_in_0_to_1():
    mask = np.zeros((40, 52), np.float32)
    assert maskvfi.Interpolator("blend", None, protect=mask, **CPU).protect.shape == (1, 1, 40, 52)
    with pytest.raises(ValueError, match=r"a painted mask must lie in 0\.\.1"):
        maskvfi.Interpolator("blend", None, protect=mask + 255, **CPU)


def test_a_painted_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="protect mask is 10x20, the frames are 16x16"):
        maskvfi.Interpolator(**CPU, protect=torch.ones(20, 10))(torch.rand(3, 16, 16), torch.rand(3, 16, 16))


def test_still_pixels_fade_or_copy_the_nearer_frame():
    a, b = torch.tensor([[0.0, 100.0]]), torch.tensor([[40.0, 100.0]])
    assert torch.allclose(still_layer(a, b, 0.25), torch.tensor([[10.0, 100.0]]), rtol=0, atol=1e-4)
    assert still_layer(a, b, 0.25, "nearest").tolist() == [[0.0, 100.0]]
    assert still_layer(a, b, 0.75, "nearest").tolist() == [[40.0, 100.0]]


def test_the_weight_is_whole_on_either_side_of_the_threshold_and_soft_between():
    weight = still_weight(torch.tensor([0.0, 0.3, 0.5, 0.7, 1.0]).view(1, 1, 1, 5), 0.5)
    assert weight.flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)
    assert still_weight(torch.tensor([0.499, 0.501]), 0.5, feather=0.0).tolist() == [0, 1]
    assert still_weight(torch.tensor([0.1, 0.9]), 0.5, feather=0.5).tolist() == pytest.approx([0.028, 0.972])


def test_half_precision_gives_nearly_the_same_picture(interpolator):
    torch.manual_seed(0)
    a, b = (
        torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), size=(64, 96), mode="bicubic")
        for _ in range(2)
    )
    half = maskvfi.Interpolator(**CPU, precision="bf16")
    assert (half(a, b, 0.5) - interpolator(a, b, 0.5)).abs().mean() < 0.01


def test_painted_masks_are_among_what_frames_depend_on():
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    plain, painted, other = (
        maskvfi.Interpolator("blend", None, protect=mask, **CPU).computed_by
        for mask in (None, left, 1 - left)
    )
    assert plain | painted == painted
    assert plain != painted != other


def test_half_precision_leaves_the_callers_networks_as_they_are():
    networks = maskvfi.load_vfi("vfi-m"), maskvfi.load_static("static-s")
    before = [parameter.clone() for network in networks for parameter in network.parameters()]
    maskvfi.Interpolator(*networks, device="cpu", runtime="torch", precision="bf16")
    after = [parameter for network in networks for parameter in network.parameters()]
    assert all(map(torch.equal, before, after))


def test_a_network_is_computed_by_the_runtime_that_is_asked_for():
    pytest.importorskip("openvino")
    fast = maskvfi.Interpolator("vfi-s", None, "cpu", runtime="openvino")
    assert type(maskvfi.Interpolator(fast.vfi, None, "cpu", runtime="torch").vfi.runtime) is Runtime


def test_wrong_input_is_refused_with_the_reason(interpolator):
    frame = np.zeros((8, 8, 3), np.uint8)
    for bad, why in (
        ((frame, frame.astype(np.uint16)), "differ in type"),
        ((frame, frame[1:]), "differ in shape"),
        ((frame[..., :2], frame[..., :2]), r"\[H,W,3\]"),
        ((torch.zeros(3, 8, 8, dtype=torch.uint8),) * 2, "float tensor"),
        (([1], [1]), "tensor or an array"),
    ):
        with pytest.raises(ValueError, match=why):
            interpolator(*bad)
    with pytest.raises(ValueError, match=r"timestep must lie in 0\.\.1"):
        interpolator(frame, frame, 2)
    for options, why in (
        ({"device": "cuda:99"}, "device 'cuda:99' is not available"),
        ({"precision": "fp8"}, "precision must be"),
        ({"threshold": 0}, "threshold must lie"),
        ({"feather": 0.6}, "feather must be"),
        ({"tile": "wide"}, "tile must be auto, off or a number"),
        ({"tile": 100}, "at least 512"),
        ({"static": "wobble"}, "static must be one of"),
        ({"vfi": "blend", "ensemble": True}, "no ensemble mode"),
    ):
        with pytest.raises(ValueError, match=why):
            maskvfi.Interpolator(**(CPU | options))


@pytest.mark.parametrize("timestep", ["0.5", None, 0.5j])
def test_a_time_that_is_none_is_named(timestep):
    frame = torch.rand(1, 3, 48, 64)
    with pytest.raises(ValueError, match="timestep must be a number or a tensor"):
        maskvfi.Interpolator("blend", None, device="cpu")(frame, frame, timestep)


@pytest.mark.parametrize("timestep", [Fraction(1, 4), np.float32(0.25), torch.tensor(0.25)])
def test_a_time_may_be_any_number(timestep):
    frames = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    blend = maskvfi.Interpolator("blend", None, **CPU)
    assert torch.equal(blend(*frames, timestep), blend(*frames, 0.25))


def test_what_does_not_fit_is_named_and_frames_without_numbers_end_nothing():
    frame = torch.rand(1, 3, 48, 64)
    with pytest.raises(ValueError, match=r"must be \[H,W\] or \[1,1,H,W\], not \[3, 48, 64\]"):
        maskvfi.Interpolator("blend", None, device="cpu", protect=torch.zeros(3, 48, 64))
    interpolator = maskvfi.Interpolator("blend", "static-s", device="cpu")
    with pytest.raises(ValueError, match="differ in shape"):
        interpolator(frame, frame[0], 0.5)
    with pytest.raises(ValueError, match="at least two views"):
        interpolator.copied([interpolator.view(frame)])
    assert interpolator(frame * float("nan"), frame, 0.5).shape == frame.shape
