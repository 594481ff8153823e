"""Synthetic scenes: their flow and their stillness are exact."""

import numpy as np
import torch

from distill.data.clips import Shards
from distill.synthetic.motion import LEAP, Layer, Scene, random_scene
from maskvfi.ops.warp import backward_warp


def test_the_flow_of_a_synthetic_scene_leads_to_the_same_texture(shards):
    texture = Shards(shards, "textures").frames(0)[0]
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


def test_leaping_objects_hardly_overlap_with_where_they_were(shards):
    textures, rng = Shards(shards, "textures"), np.random.default_rng(0)
    movers = [layer for _ in range(20) for layer in random_scene(textures, 96, rng, leaping=1.0).layers[1:]]
    speeds = [float(np.hypot(*layer.velocity)) for layer in movers]
    assert len(speeds) > 20
    assert all(LEAP[1] <= speed <= LEAP[0] for speed in speeds)
