"""From file to file: where content is replaced in place, a new frame is the nearer source frame, bit by bit."""

import cv2
import numpy as np
import pytest
import torch
from clips import make_clip

import maskvfi
from maskvfi.models.static import StaticConfig
from maskvfi.pipeline.preview import REPLACED_TINT, TINT, tinted
from maskvfi.synthesis.copied import Copied
from maskvfi.video import VideoReader


@pytest.fixture(scope="module")
def everything_replaced(tmp_path_factory):
    """Weights of a mask that says of every pixel that it was replaced."""
    network = maskvfi.StaticMaskNet(StaticConfig(replaced=True))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([-9.0] * 4 + [9.0] * 4))
    path = tmp_path_factory.mktemp("weights") / "replaced.safetensors"
    maskvfi.save_weights(path, network)
    return path


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuva420p"])
def test_new_frames_are_those_of_the_nearer_frame(tmp_path, everything_replaced, pix_fmt):
    source = make_clip(tmp_path / "in.mkv", times=3, codec="ffv1", pix_fmt=pix_fmt)
    made = {"vfi": "vfi-s", "mask": everything_replaced, "device": "cpu", "codec": "ffv1"}
    report = maskvfi.interpolate(source, tmp_path / "out.mkv", factor=4, scene_cut="off", **made)
    assert report.static_share == pytest.approx(1)
    with VideoReader(source) as reader:
        before = list(reader)
    with VideoReader(tmp_path / "out.mkv") as reader:
        after = list(reader)
    nearer = [0, 0, 0, 1, 1, 1, 1, 2, 2]
    for frame, index in zip(after, nearer, strict=True):
        for ours, theirs in zip(frame.planes, before[index].planes, strict=True):
            assert np.array_equal(ours, theirs)


def test_the_mask_is_black_and_the_overlay_orange_where_content_is_replaced(tmp_path, everything_replaced):
    source = make_clip(tmp_path / "in.mkv", times=2)
    made = {"mask": everything_replaced, "device": "cpu"}
    maskvfi.mask_video(source, tmp_path / "mask", **made)
    assert cv2.imread(str(tmp_path / "mask" / "00000001.png")).max() == 0
    maskvfi.mask_video(source, tmp_path / "over", **made, overlay=True)
    blue, green, red = cv2.imread(str(tmp_path / "over" / "00000001.png")).mean(axis=(0, 1))
    assert red > green > blue


def test_still_pixels_are_tinted_green_and_replaced_ones_orange():
    grey = torch.full((1, 3, 1, 3), 0.5)
    copied = Copied(
        torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 3), torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 1, 3)
    )
    still, replaced, moving = tinted(grey, copied)[0, :, 0].T
    assert torch.allclose(still, 0.2 + 0.6 * torch.tensor(TINT))
    assert torch.allclose(replaced, 0.2 + 0.6 * torch.tensor(REPLACED_TINT))
    assert torch.equal(moving, torch.full((3,), 0.5))
