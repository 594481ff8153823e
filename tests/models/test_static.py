"""The static mask network's contract; how good its weights are is measured elsewhere."""

import shutil
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maskvfi import StaticMaskNet, WeightsError, load_static, save_weights
from maskvfi.models.static import StaticConfig
from maskvfi.models.static import network as source


@pytest.fixture(scope="module")
def network() -> StaticMaskNet:
    torch.manual_seed(0)
    network = StaticMaskNet(StaticConfig(widths=(8, 8, 8, 8, 8), encoder=(8, 8))).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.fixture(scope="module")
def both() -> StaticMaskNet:
    """A network that also says what was replaced."""
    torch.manual_seed(1)
    network = StaticMaskNet(StaticConfig((8, 8, 8, 8, 8), (8, 8), replaced=True)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


@pytest.fixture(scope="module")
def shipped() -> StaticMaskNet:
    return load_static()


@torch.inference_mode()
def test_any_number_of_frames_gives_one_mask_per_gap(network: StaticMaskNet):
    for count in (2, 3, 6):
        assert network.sequence(torch.rand(2, count, 3, 40, 56)).shape == (2, count - 1, 40, 56)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (33, 31), (64, 96)])
def test_any_size_from_one_pixel_up(network: StaticMaskNet, size: tuple[int, int]):
    mask = network(torch.rand(1, 3, *size), torch.rand(1, 3, *size))
    assert mask.shape == (1, 1, *size)
    assert mask.isfinite().all()


@torch.inference_mode()
def test_a_stream_that_encodes_each_frame_once_gets_the_same_masks(network: StaticMaskNet):
    frames = torch.rand(1, 4, 3, 50, 60)
    features = [network.encode(frames[:, k]) for k in range(4)]
    assert torch.allclose(network.between(features), network.sequence(frames), atol=1e-6)


@torch.inference_mode()
def test_the_mask_does_not_depend_on_the_rest_of_the_batch(network: StaticMaskNet):
    frames = torch.rand(3, 3, 3, 40, 40)
    assert torch.allclose(network.sequence(frames)[1:2], network.sequence(frames[1:2]), atol=1e-6)


@torch.inference_mode()
def test_one_pass_says_what_stands_still_and_what_was_replaced(both: StaticMaskNet):
    frames = torch.rand(2, 4, 3, 33, 50)
    masks = both.classify(frames)
    assert masks.replaced.shape == masks.still.shape == (2, 3, 33, 50)
    assert torch.allclose(masks.still, both.sequence(frames), atol=1e-6)
    assert not torch.allclose(masks.still, masks.replaced, atol=0.01)
    streamed = both.classify_between([both.encode(frames[:, k]) for k in range(4)])
    assert torch.allclose(streamed.replaced, masks.replaced, atol=1e-6)
    assert torch.allclose(both.classify(frames[1:]).replaced, masks.replaced[1:], atol=1e-6)


@torch.inference_mode()
def test_the_first_answer_alone_costs_less(both: StaticMaskNet):
    frames = torch.rand(1, 2, 3, 32, 32)
    spent = []
    for work in (both.sequence, both.classify):
        with FlopCounterMode(display=False) as counter:
            work(frames)
        spent.append(counter.get_total_flops())
    assert spent[0] < spent[1]


@torch.inference_mode()
def test_a_network_of_one_output_does_not_know_what_was_replaced(network: StaticMaskNet):
    frames = torch.rand(1, 3, 3, 24, 24)
    masks = network.classify(frames)
    assert masks.replaced is None
    assert torch.equal(masks.still, network.sequence(frames))


@torch.inference_mode()
def test_neighbouring_gaps_tell_each_other_what_they_saw(network: StaticMaskNet):
    frames = torch.rand(1, 3, 3, 40, 40)
    alone = network(frames[:, 0], frames[:, 1])[:, 0]
    assert not torch.allclose(network.sequence(frames)[:, 0], alone, atol=1e-4)


@torch.inference_mode()
def test_identical_frames_stand_still_and_a_pan_does_not(shipped: StaticMaskNet):
    wide = natural(240, 360)
    still = wide[..., :300]
    assert (shipped(still, still) > 0.5).float().mean() > 0.99
    assert (shipped(still, wide[..., 20:320]) > 0.5).float().mean() < 0.05


@torch.inference_mode()
def test_a_soft_background_stands_still_behind_a_mover(shipped: StaticMaskNet):
    torch.manual_seed(0)
    soft = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 8), (240, 320), mode="bicubic").clamp(0, 1)
    frames = [soft.clone() for _ in range(2)]
    for k, frame in enumerate(frames):
        frame[..., 90:150, 60 + 12 * k : 120 + 12 * k] = natural(60, 60)
    still = shipped(*frames) > 0.5
    still[..., 80:160, 50:142] = True
    assert still.float().mean() > 0.95


@torch.inference_mode()
def test_the_standing_half_of_a_soft_picture_stands_still(shipped: StaticMaskNet):
    torch.manual_seed(0)
    soft = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 13), (240, 520), mode="bicubic").clamp(0, 1)
    frames = torch.stack([soft[..., :320].clone() for _ in range(5)], dim=1)
    for k in range(5):
        frames[:, k, :, :120] = soft[..., :120, 6 * k : 6 * k + 320]
    assert (shipped.sequence(frames)[..., 128:, :] > 0.5).float().mean() > 0.8


def natural(height: int, width: int) -> torch.Tensor:
    """A picture [1,3,H,W] whose octaves fall off as those of photographs do."""
    torch.manual_seed(1)
    picture = torch.full((1, 3, height, width), 0.5)
    for octave in range(6):
        small = torch.randn(1, 1, height >> octave, width >> octave) + 0.3 * torch.randn(
            1, 3, height >> octave, width >> octave
        )
        picture += (
            0.02 * 1.6**octave * torch.nn.functional.interpolate(small, (height, width), mode="bicubic")
        )
    return picture.clamp(0, 1)


def test_wrong_shapes_are_refused_with_the_reason(network: StaticMaskNet):
    with pytest.raises(ValueError, match="N >= 2"):
        network.sequence(torch.rand(1, 1, 3, 8, 8))
    with pytest.raises(ValueError, match="differ in shape"):
        network(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))


def test_a_file_carries_its_architecture(network: StaticMaskNet, tmp_path):
    save_weights(tmp_path / "mine.safetensors", network)
    assert load_static(tmp_path / "mine.safetensors").config == network.config


@pytest.mark.parametrize("replaced", [False, True])
def test_files_and_bare_tensors_say_how_many_outputs_there_are(replaced: bool, tmp_path):
    network = StaticMaskNet(StaticConfig(replaced=replaced))
    save_weights(tmp_path / "mine.safetensors", network)
    for given in (tmp_path / "mine.safetensors", network.state_dict()):
        assert load_static(given).config.replaced == replaced


def test_a_header_from_before_the_second_output_means_one(tmp_path):
    network = StaticMaskNet()
    config = network.config.to_dict()
    del config["replaced"]
    save_weights(tmp_path / "old.safetensors", network, config=config)
    assert not load_static(tmp_path / "old.safetensors").config.replaced


def test_interpolation_weights_are_no_mask_weights():
    with pytest.raises(WeightsError, match="holds vfi weights, not static weights"):
        load_static("vfi-s")


def test_the_file_runs_alone_in_another_project(tmp_path):
    shutil.copy(source.__file__, tmp_path / "copied.py")
    program = """
import sys
import torch
sys.modules.update(dict.fromkeys(("maskvfi", "einops", "safetensors", "cv2", "av")))
before = {name.partition(".")[0] for name in sys.modules}
from copied import StaticMaskNet
print(*StaticMaskNet().eval()(*torch.rand(2, 1, 3, 40, 50)).shape)
print(*{name.partition(".")[0] for name in sys.modules} - before - sys.stdlib_module_names)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["1 1 40 50", "copied"]
