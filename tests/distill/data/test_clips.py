"""Shards: what is written is read again, by us and by webdataset."""

import cv2
import webdataset

from distill.data.clips import Shards


def test_shards_give_back_the_tuples_in_order(shards):
    stored = Shards(shards)
    frames = stored.frames(0)
    assert [frame.shape for frame in frames] == [(256, 256, 3)] * 5
    near, far = (cv2.absdiff(frames[0], frames[k]).mean() for k in (1, 4))
    assert 0 < near < far
    assert stored.facts[0]["clip"] == "clip.avi"


def test_the_webdataset_library_reads_the_same_tuples(shards):
    (shard,) = shards.glob("tuples-*.tar")
    found = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode("rgb8"))
    stored = Shards(shards)
    assert [sample["__key__"] for sample in found] == stored.keys
    for index, sample in enumerate(found):
        frames = [sample[f"{k}.jpg"] for k in range(5)]
        errors = [cv2.absdiff(a, b).max() for a, b in zip(frames, stored.frames(index), strict=True)]
        assert max(errors) <= 3
        assert sample["json"] == stored.facts[index]
