"""The mix of two still frames: noise as strong as theirs, the same edges, and nothing else."""

import pytest
import torch

from maskvfi.ops.grain import mix_still


@pytest.fixture
def scene():
    """Stripes of 100 code values and flat areas, 61x90."""
    columns = torch.arange(90)
    return torch.where((columns // 3 % 2 == 0) & (columns > 45), 200.0, 100.0).expand(61, 90).clone()


def noisy(scene, seed, strength=10.0):
    return scene + strength * torch.randn(scene.shape, generator=torch.Generator().manual_seed(seed))


def error(made, scene):
    return (made - scene).square().mean().sqrt().item()


def grainy(scene, seed, strength):
    """The scene with the coarser grain of a film."""
    grain = torch.nn.functional.avg_pool2d(noisy(torch.zeros(1, 63, 92), seed), 3, 1)[0]
    return scene + strength * grain / grain.std()


@pytest.mark.parametrize("strength", [2.5, 6, 20])
@pytest.mark.parametrize("time", [0.2, 0.5, 0.75])
def test_noise_is_as_strong_in_new_frames_as_in_the_source_s(scene, time, strength):
    pictures = noisy(scene, 1, strength), noisy(scene, 2, strength)
    assert error(mix_still(*pictures, time, 1), scene) == pytest.approx(error(pictures[0], scene), rel=0.1)
    pictures = grainy(scene, 1, strength), grainy(scene, 2, strength)
    assert error(mix_still(*pictures, time, 1), scene) == pytest.approx(error(pictures[0], scene), rel=0.15)


def test_noise_of_new_frames_has_no_mean(scene):
    made = mix_still(noisy(scene, 1), noisy(scene, 2), 0.5, 1)
    assert abs((made - scene).mean().item()) < 0.5


def test_equal_pixels_are_copied_bit_by_bit(scene):
    a, b = noisy(scene, 1), noisy(scene, 2)
    b[20:40, 10:30] = a[20:40, 10:30]
    assert torch.equal(mix_still(a, a, 0.3, 1), a)
    assert torch.equal(mix_still(a, b, 0.3, 1)[20:40, 10:30], a[20:40, 10:30])


def test_fades_lamps_that_blink_and_the_noise_of_ordinary_video_are_mixed_and_no_more(scene):
    lit = scene.clone()
    lit[24:27, 20:23] = 250
    for other in (scene * 0.5 + 20, lit, noisy(scene, 1, strength=1)):
        mixed = mix_still(scene, other, 0.5, 1)
        assert torch.allclose(mixed, torch.lerp(scene, other, 0.5), rtol=0, atol=0.0101)  # a hair, see below


def test_a_dissolve_is_mixed_and_no_more(scene):
    rows, columns = torch.meshgrid(torch.arange(61.0), torch.arange(90.0), indexing="ij")
    other = 120 + 60 * torch.sin(rows / 9) * torch.cos(columns / 7)
    for far in (0.1, 1.0):
        end = torch.lerp(scene, other, far)
        assert (mix_still(scene, end, 0.5, 1) - torch.lerp(scene, end, 0.5)).abs().mean() < 0.1


def test_where_a_painted_mask_says_so_it_is_the_plain_mix(scene):
    a, b, keep = noisy(scene, 1), noisy(scene, 2), torch.zeros_like(scene)
    keep[:, :20] = 1
    assert torch.equal(mix_still(a, b, 0.5, 1, keep)[:, :20], torch.lerp(a, b, 0.5)[:, :20])
    assert torch.equal(mix_still(a, b, 0.5, 1, keep)[:, 20:], mix_still(a, b, 0.5, 1)[:, 20:])


def test_batches_of_colour_and_of_times_are_mixed_each_for_itself(scene):
    a, b = (torch.stack([noisy(scene, seed + k) for k in range(6)]).view(2, 3, 61, 90) for seed in (1, 11))
    made = mix_still(a, b, torch.tensor([0.25, 0.5]).view(2, 1, 1, 1), 1)
    for k, time in enumerate((0.25, 0.5)):
        for c in range(3):
            assert torch.allclose(made[k, c], mix_still(a[k, c], b[k, c], time, 1), atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 4), (8, 17)])
def test_small_pictures_of_any_size_come_out_whole(size):
    a, b = torch.rand(size), torch.rand(size)
    made = mix_still(a, b, 0.5)
    assert made.shape == size
    assert made.isfinite().all()
    assert (made >= torch.minimum(a, b).min()).all()
    assert (made <= torch.maximum(a, b).max()).all()


def test_halves_are_rounded_towards_the_nearer_frame():
    start, end = torch.full((64, 64), 100.0), noisy(torch.full((64, 64), 100.0), 1, 1).round()
    assert torch.equal(mix_still(start, end, 0.5, code=1.0).round(), start + ((end - start) / 2).trunc())
    assert torch.equal(mix_still(end, start, 0.5, code=1.0).round(), end - ((end - start) / 2).trunc())
    odd = (end - start).abs() == 2  # three quarters of 2 are 1.5
    assert odd.any()
    assert torch.equal(mix_still(start, end, 0.75, code=1.0).round()[odd], end[odd])


def test_where_nobody_looks_changes_nothing_where_somebody_does():
    scene = 100 + 50 * torch.rand(1, 200, 240).round()
    start, end = noisy(scene, 1), noisy(scene, 2)
    used = torch.zeros_like(scene)
    used[:, 64:100, 100:160] = 1
    seen = mix_still(start, end, 0.5, 1, used=used)
    assert torch.equal(seen[used > 0], mix_still(start, end, 0.5, 1)[used > 0])
    assert (seen[:, 140:] - torch.lerp(start, end, 0.5)[:, 140:]).abs().max() < 0.02
