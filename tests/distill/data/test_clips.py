"""Shards: what is written is read again, by us and by webdataset."""

import json

import av
import cv2
import numpy as np
import pytest
import webdataset
from clips import make_clip

from distill.data.clips import Shards, find_clips
from distill.data.prepare import Recipe, plan, prepare


def test_shards_give_back_the_tuples_in_order(shards):
    stored = Shards(shards)
    frames = stored.frames(0)
    assert [frame.shape for frame in frames] == [(256, 256, 3)] * 5
    near, far = (cv2.absdiff(frames[0], frames[k]).mean() for k in (1, 4))
    assert 0 < near < far
    assert stored.facts[0]["clip"] == "clip.avi"


def test_clips_that_cannot_be_read_are_left_out_by_name(tmp_path, capfd):
    make_clip(tmp_path / "good.mp4", times=7)
    with av.open(
        str(tmp_path / "streamed.webm"), "w", options={"live": "1"}
    ) as out:  # its header has no length
        video = out.add_stream("libvpx", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(9):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        out.mux(video.encode(None))
    (tmp_path / "junk.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "manifest.json").write_text('{"name": "of another program"}')
    found = find_clips(tmp_path)
    assert [(clip.path.name, clip.frames) for clip in found] == [("good.mp4", 7), ("streamed.webm", 9)]
    assert f"{tmp_path / 'junk.mp4'}: cannot be read, left out" in capfd.readouterr().err
    said = [
        {"file": name, "kind": "cg", "split": split}
        for name, split in (("good.mp4", "a"), ("streamed.webm", "b"))
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match=r"holds clips of several splits \(a, b\), name one's folder"):
        prepare(tmp_path, tmp_path / "out", Recipe(4))
    (tmp_path / "manifest.json").unlink()
    # A share of less than one tuple for each clip is no share of nothing.
    assert [part.wanted for part in plan(tmp_path, Recipe(1, length=3))] == [1]
    with pytest.raises(ValueError, match="has no stretch of 21 frames without a cut"):
        prepare(tmp_path, tmp_path / "out", Recipe(4, length=20))


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
