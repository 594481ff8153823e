"""The training side: exact labels are exact, losses are defined, a resumed run is the same run."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import webdataset
from accelerate import Accelerator

from distill.data.clips import Shards
from distill.synthetic.degrade import degrade, encode
from distill.evaluate.staticbench import f1
from distill.data.labels import MOVING, PUBLISHED, STATIC, UNSURE, as_batch, label_tuples, static_labels
from distill.synthetic.text import SCRIPTS, draw_text, fonts_by_script, words
from distill.training.losses import balanced_bce, bce_dice, laplacian, published_l1, soft_dice
from distill.synthetic.motion import Layer, Scene
from distill.training.muon import Muon, orthogonal
from distill.synthetic.overlays import Overlay, paste, random_overlays
from distill.data.prepare import Recipe, prepare
from distill.data.mask_samples import Stills
from distill.data.teachers import Dis, Motion, measure
from distill.training.mask import train
from distill.data.triplets import Triplets
from maskvfi.ops.warp import backward_warp


@pytest.fixture(scope="module")
def data(shards) -> Path:
    return shards


def test_shards_give_back_the_tuples_in_order(data):
    shards = Shards(data)
    frames = shards.frames(0)
    assert [frame.shape for frame in frames] == [(256, 256, 3)] * 5
    near, far = (cv2.absdiff(frames[0], frames[k]).mean() for k in (1, 4))
    assert 0 < near < far
    assert shards.facts[0]["clip"] == "clip.avi"


def test_the_webdataset_library_reads_the_same_tuples(data):
    (shard,) = data.glob("tuples-*.tar")
    found = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode("rgb8"))
    shards = Shards(data)
    assert [sample["__key__"] for sample in found] == shards.keys
    for index, sample in enumerate(found):
        frames = [sample[f"{k}.jpg"] for k in range(5)]
        errors = [cv2.absdiff(a, b).max() for a, b in zip(frames, shards.frames(index), strict=True)]
        assert max(errors) <= 3
        assert sample["json"] == shards.facts[index]


def test_the_flow_of_a_synthetic_scene_leads_to_the_same_texture(data):
    texture = Shards(data, "textures").frames(0)[0]
    scene = Scene((Layer(texture, None, (64.0, 64.0), velocity=(9.0, -6.0), turn=0.05, growth=0.03),), 128)
    start, middle = (torch.from_numpy(scene.frame(t)).permute(2, 0, 1)[None].float() for t in (0.0, 0.5))
    flow = torch.from_numpy(scene.flow(0.5, 0.0))[None]
    inside = (slice(None), slice(None), slice(16, -16), slice(16, -16))
    moved = (backward_warp(start, flow) - middle).abs()[inside].median()
    unmoved = (start - middle).abs()[inside].median()
    assert moved < 0.5 * unmoved


def test_a_mover_makes_moving_all_that_it_crosses():
    picture, size = np.zeros((64, 64, 3), np.uint8), 64
    square = np.zeros((64, 64), np.float32)
    square[24:40, 24:40] = 1
    scene = Scene(
        (Layer(picture, None, (31.5, 31.5)), Layer(picture, square, (8.0, 32.0), velocity=(48.0, 0.0))), size
    )
    reach = scene.reach((0.0, 0.25, 0.5, 0.75, 1.0))
    assert reach[32, 32] > 1
    assert (reach[:20] == 0).all()


def test_an_overlay_is_static_where_it_covers_and_unsure_at_its_rim():
    frames = [np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 200, np.uint8)]
    coverage = np.zeros((40, 40), np.float32)
    coverage[10:20, 10:20], coverage[20, 10:20] = 1, 0.3
    colour = np.full((40, 40, 3), 90, np.float32)
    steady = Overlay.steady((colour, coverage), 2)
    pasted = paste(frames, [steady])
    assert pasted.static[0].sum() == 100
    assert pasted.unsure[0].sum() == 10
    assert (pasted.frames[1][12, 12] == 90).all()
    fading = paste(frames, [replace(steady, opacity=(0.3, 1.0))])
    assert fading.static[0][12, 12]
    jumping = paste(frames, [replace(steady, offsets=((0, 0), (15, 0)))])
    assert not jumping.static[0].any()
    other = colour.copy()
    other[10:20, 10:15] = 200
    changing = paste(frames, [replace(steady, drawings=((colour, coverage), (other, coverage)))])
    assert changing.static[0].sum() == 50
    assert changing.unsure[0][12, 12]


def test_every_script_that_a_font_has_is_drawn():
    rng = np.random.default_rng(0)
    for script, fonts in fonts_by_script().items():
        for font in fonts[:2]:
            assert draw_text(40, 200, SCRIPTS[script][:8], font, (100, 20), 18).max() > 0.9, (script, font)
    assert all(words(rng, 3, 9)[0] for _ in range(20))


def test_overlays_and_degradation_keep_size_and_type():
    rng = np.random.default_rng(5)
    for _ in range(20):
        frames = paste([np.zeros((96, 128, 3), np.uint8)] * 3, random_overlays(3, 96, 128, rng)).frames
        out = degrade(frames, rng)
        assert [(f.shape, f.dtype) for f in out] == [((96, 128, 3), np.uint8)] * 3


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_codecs_blur_but_do_not_move(data, codec):
    frames = Shards(data).frames(0)
    coded = encode(frames, codec, 24)
    assert len(coded) == len(frames)
    errors = [cv2.absdiff(a, b).mean() for a, b in zip(frames, coded, strict=True)]
    assert min(errors) > 0
    assert max(errors) < 0.5 * cv2.absdiff(frames[0], frames[-1]).mean()


def test_a_sample_depends_on_its_number_alone(data):
    for samples in (Stills(data, size=64), Triplets(data, size=64)):
        first = samples[3]
        samples[4]
        assert all(torch.equal(first[key], samples[3][key]) for key in first)


def test_losses_are_defined_when_a_class_is_missing():
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    for labels in (torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):
        for sure in (torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):
            loss = balanced_bce(logits, labels, sure) + soft_dice(logits, labels, sure)
            (gradient,) = torch.autograd.grad(loss, logits, allow_unused=True)
            assert loss.isfinite()
            assert gradient is None or gradient.isfinite().all()


def test_the_balanced_loss_weighs_a_small_class_more_than_its_area():
    labels = torch.zeros(1, 1, 10, 10)
    labels[..., :1, :1] = 1
    sure = torch.ones_like(labels)
    miss_rare = torch.full_like(labels, -4.0)
    miss_one_common = torch.where(labels > 0, 4.0, -4.0)
    miss_one_common[..., 9, 9] = 4.0
    for power, ratio in ((1.0, 0.9), (0.8, 1.5), (0.5, 3.0)):
        rare, common = (balanced_bce(x, labels, sure, power) for x in (miss_rare, miss_one_common))
        assert rare > ratio * common


def test_the_laplacian_loss_is_zero_only_for_equal_pictures():
    a = torch.rand(1, 3, 33, 47)
    assert laplacian(a, a) == 0
    assert laplacian(a, a + 0.1) > 0


def test_f1_judges_the_rarer_class_and_ignores_what_is_unsure():
    truth = np.array([True, False, False, False, False])
    unsure = np.array([False, False, False, False, True])
    assert f1(truth, truth, unsure) == 1
    assert f1(~truth, ~truth, unsure) == 1
    assert f1(np.array([True, True, False, False, True]), truth, unsure) == pytest.approx(2 / 3)


def test_a_run_broken_off_and_resumed_is_the_unbroken_run(data, tmp_path):
    def losses(run: Path) -> dict[int, float]:
        return {
            line["step"]: line["total"]
            for line in map(json.loads, (run / "log.jsonl").read_text().splitlines())
        }

    options = {"batch": 1, "size": 64, "length": 3}
    train(data, tmp_path / "whole", steps=4, log_every=1, store_every=2, **options)
    train(data, tmp_path / "broken", steps=4, stop_after=2, log_every=1, store_every=2, **options)
    train(data, tmp_path / "broken", steps=4, log_every=1, store_every=2, **options)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")


def test_a_batch_that_cannot_be_shared_evenly_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    with pytest.raises(ValueError, match="batch of 3"):
        train(data, tmp_path, steps=1, batch=3, cpu=True)


class Drifting:
    """A teacher that sees every pixel go 2 px right and, in what it is shown, knows no place but its own tile."""

    name = "drifting"

    def motion(self, img0, img1):
        flow = torch.zeros(len(img0), 1, 4, *img0.shape[-2:])
        flow[:, :, 2] = 2
        flow[:, 0, 3] = img0[:, 0]
        return Motion((0.0,), flow)


def test_a_tiled_teacher_joins_its_tiles_without_a_seam():
    ramp = torch.linspace(0, 1, 700).expand(1, 3, 500, 700)
    motion = measure(Drifting(), ramp, ramp, tile=300)
    assert motion.flows.shape == (1, 1, 4, 500, 700)
    assert torch.allclose(motion.flows[0, 0, 3], ramp[0, 0], atol=1e-6)
    assert torch.allclose(motion.flows[0, 0, 2], torch.tensor(2.0))
    assert torch.allclose(measure(Drifting(), ramp, ramp, scale=0.5).flows[0, 0, 2], torch.tensor(4.0))
    with pytest.raises(ValueError, match="tile"):
        measure(Drifting(), ramp, ramp, tile=100)


def test_losses_are_defined_when_a_class_or_everything_is_missing():
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    for labels in (torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):
        for sure in (torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)):
            for loss in (balanced_bce, soft_dice, published_l1, bce_dice):
                value = loss(logits, labels, sure)
                assert value.isfinite(), loss
                value.backward()
                assert logits.grad.isfinite().all(), loss


def test_muon_makes_steps_orthogonal_and_leaves_biases_to_adam():
    for shape in ((8, 40), (40, 8), (1, 9)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
        assert values.min() > 0.6
        assert values.max() < 1.3
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 8, 3)
    before = network.weight.detach().clone(), network.bias.detach().clone()
    optimiser = Muon(network, 1e-3, 0.0)
    network(torch.rand(1, 3, 9, 9)).square().mean().backward()
    optimiser.step()
    assert torch.allclose((network.bias - before[1]).abs(), torch.tensor(1e-3), rtol=1e-3)
    step = torch.linalg.svdvals((network.weight - before[0]).detach().flatten(1)) / 1e-3
    assert step.min() > 0.6
    assert step.max() < 1.3


def test_stored_labels_are_those_of_the_teacher_and_are_used(data, tmp_path):
    for shard in data.glob("*.tar"):
        (tmp_path / shard.name).write_bytes(shard.read_bytes())
    assert label_tuples(tmp_path, Dis()) == 24
    labels, frames = Shards(tmp_path, "labels"), as_batch(Shards(tmp_path).frames(0))
    assert labels.keys == Shards(tmp_path).keys
    static, unsure = static_labels(Dis().motion(frames[:1], frames[1:2]), frames[:1], frames[1:2])
    stored = labels.frames(0)[0]
    assert np.array_equal(stored == STATIC, static[0].numpy())
    assert np.array_equal(stored == UNSURE, unsure[0].numpy())
    assert (stored == MOVING).mean() > 0.5
    sample = Stills(tmp_path, size=64, clean=True)[0]
    assert sample["static"].shape == (4, 64, 64)
    assert label_tuples(tmp_path, Dis()) == 0  # all there
    assert label_tuples(tmp_path, Dis(), PUBLISHED) == 24  # another rule


def test_an_interrupted_labelling_goes_on_where_it_stopped(data, tmp_path, monkeypatch):
    monkeypatch.setattr("distill.data.prepare.PER_SHARD", 2)
    assert prepare(data.parent, tmp_path, Recipe(6)) == 6

    class Tiring(Dis):
        calls = 0

        def motion(self, img0, img1):
            self.calls += 1
            if self.calls > 3:
                raise KeyboardInterrupt
            return super().motion(img0, img1)

    with pytest.raises(KeyboardInterrupt):
        label_tuples(tmp_path, Tiring())
    assert [path.name for path in sorted(tmp_path.iterdir()) if "label" in path.name] == ["labels-00000.tar"]
    assert label_tuples(tmp_path, Dis()) == 16
    assert Shards(tmp_path, "labels").keys == Shards(tmp_path).keys


def test_what_a_rule_calls_still():
    still = Motion((0.5,), torch.zeros(1, 1, 4, 40, 40))
    texture = torch.rand(1, 3, 40, 40)
    flat = torch.full((1, 3, 40, 40), 0.5)
    assert static_labels(still, texture, texture)[0].all()
    static, unsure = static_labels(still, flat, flat)
    assert unsure.all()
    assert not static.any()
    assert static_labels(still, flat, flat, PUBLISHED)[0].all()
    moving = Motion((0.5,), torch.full((1, 1, 4, 40, 40), 0.4))
    assert not static_labels(moving, texture, texture.roll(1, -1))[0].any()
    assert static_labels(moving, texture, texture.roll(1, -1), PUBLISHED)[0].all()


def test_a_state_of_another_network_is_named(data, tmp_path):
    train(data, tmp_path, steps=1, batch=1, size=64, length=2, cpu=True)
    with pytest.raises(ValueError, match=r"state.pt: does not continue this run, its network differs"):
        train(data, tmp_path, network="published", steps=2, batch=1, size=64, length=2, cpu=True)
