"""Teachers measure motion alike, whatever they are, and however large the frames."""

from importlib.util import find_spec

import pytest
import torch

from distill.data.teachers import GapMotion, load_teacher, measure


def shifted(pixels: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 40), scale_factor=8, mode="bicubic").clamp(
        0, 1
    )
    return wide[..., 16:272], wide[..., 16 + pixels : 272 + pixels]


class Drifting:
    """A teacher that sees every pixel go 2 px right and, in what it is shown, knows no place but its own tile."""

    name = "drifting"

    def motion(self, img0, img1):
        flow = torch.zeros(len(img0), 1, 4, *img0.shape[-2:])
        flow[:, :, 2] = 2
        flow[:, 0, 3] = img0[:, 0]
        return GapMotion((0.0,), flow)


def test_dis_measures_a_pan_in_both_directions_in_pixels_per_gap():
    motion = load_teacher("dis").motion(*shifted(4))
    assert motion.flows.shape == (1, 2, 4, 192, 256)
    inside = motion.speeds()[..., 32:-32, 32:-32]
    assert inside.shape[1] == 2
    assert inside.median() == pytest.approx(4, abs=0.2)
    assert motion.flows[0, 0, 2, 32:-32, 32:-32].median() == pytest.approx(-4, abs=0.2)


def test_rife_weights_are_asked_at_several_times():
    motion = load_teacher("rife:vfi-s").motion(*(image[..., :64, :64] for image in shifted(0)))
    assert motion.times == (0.25, 0.5, 0.75)
    assert motion.flows.shape == (1, 3, 4, 64, 64)
    assert motion.speeds().shape == (1, 6, 64, 64)


def test_two_teachers_are_asked_together():
    motion = load_teacher("dis+rife:vfi-s").motion(*(image[..., :64, :64] for image in shifted(0)))
    assert motion.times == (0.0, 1.0, 0.5)
    assert motion.flows.shape == (1, 3, 4, 64, 64)
    assert motion.speeds().shape == (1, 4, 64, 64)


@pytest.mark.cuda
def test_a_teacher_on_a_card_answers_where_the_frames_are():
    frames = [image[..., :64, :64] for image in shifted(0)]
    there, here = (load_teacher("rife:vfi-s", device).motion(*frames).flows for device in ("cuda", "cpu"))
    torch.testing.assert_close(there, here, atol=0.05, rtol=0)


def test_a_teacher_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="unknown teacher 'oracle'"):
        load_teacher("oracle")
    for package, name in (("ptlflow", "ptlflow:memfof"), ("memfof", "memfof:some/checkpoint")):
        if find_spec(package) is None:
            with pytest.raises(ValueError, match="needs a package that is not installed"):
                load_teacher(name)


def test_a_tiled_teacher_joins_its_tiles_without_a_seam():
    ramp = torch.linspace(0, 1, 700).expand(1, 3, 500, 700)
    motion = measure(Drifting(), ramp, ramp, tile=300)
    assert motion.flows.shape == (1, 1, 4, 500, 700)
    assert torch.allclose(motion.flows[0, 0, 3], ramp[0, 0], atol=1e-6)
    assert torch.allclose(motion.flows[0, 0, 2], torch.tensor(2.0))
    assert torch.allclose(measure(Drifting(), ramp, ramp, scale=0.5).flows[0, 0, 2], torch.tensor(4.0))
    with pytest.raises(ValueError, match="tile"):
        measure(Drifting(), ramp, ramp, tile=100)
