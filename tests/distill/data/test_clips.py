"""Shards: what is written is read again, by us and by webdataset."""

import io
import json
import tarfile

import av
import cv2
import numpy as np
import pytest
import webdataset
from clips import make_clip

from distill.data.clips import Shards, find_clips
from distill.data.prepare import Recipe, plan, prepare, prepare_textures


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


def test_clips_whose_frames_are_damaged_are_left_out_too(tmp_path, capfd):
    make_clip(tmp_path / "good.mp4")
    data = bytearray((tmp_path / "good.mp4").read_bytes())
    place = data.index(b"mdat") + 4
    size = int.from_bytes(data[place - 8 : place - 4], "big")
    data[place : place + size - 8] = bytes(size - 8)
    (tmp_path / "zeros.mp4").write_bytes(data)
    assert [clip.path.name for clip in find_clips(tmp_path)] == ["good.mp4"]
    assert "zeros.mp4: cannot be read, left out" in capfd.readouterr().err
    with pytest.raises(ValueError, match="there is no such folder"):
        find_clips(tmp_path / "nowhere")


def test_a_manifest_tells_clips_of_one_name_apart(tmp_path):
    said = []
    for split in ("train", "dev"):
        (tmp_path / split).mkdir()
        make_clip(tmp_path / split / "a.mp4")
        said.append({"file": f"{split}/a.mp4", "kind": "cg", "split": split})
    (tmp_path / "manifest.json").write_text(json.dumps([*said, {"file": "b.mp4"}, "a note"]))
    for split in ("train", "dev"):
        assert [(clip.kind, clip.split) for clip in find_clips(tmp_path / split)] == [("cg", split)]
    (moved := tmp_path / "moved").mkdir()
    (tmp_path / "dev" / "a.mp4").rename(moved / "a.mp4")
    (moved / "manifest.json").write_text(json.dumps(said[1:]))
    assert [clip.split for clip in find_clips(moved)] == ["dev"]


def test_a_plan_that_cuts_nothing_deletes_nothing(tmp_path, shards):
    for file in shards.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for name in ("labels-notes.txt", "textures-0.png"):
        (tmp_path / name).write_text("of the user's own")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="has no stretch of 61 frames without a cut"):
        prepare(shards.parent, tmp_path, Recipe(6, length=60))
    (empty := tmp_path / "empty").mkdir()
    (empty / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="holds no picture that can be read"):
        prepare_textures(empty, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_another_plan_says_what_it_deletes_and_leaves_other_files_alone(tmp_path, shards, capfd):
    assert prepare(shards.parent, tmp_path, Recipe(2)) == 2
    (tmp_path / "labels-notes.txt").write_text("of the user's own")
    assert prepare(shards.parent, tmp_path, Recipe(3)) == 3
    assert "1 shards of the old one are deleted" in " ".join(capfd.readouterr().err.split())
    assert (tmp_path / "labels-notes.txt").is_file()
    assert prepare_textures(shards.parent / "pictures", tmp_path, count=4) == 4
    stored = {path.name for path in tmp_path.glob("textures-*")}
    (tmp_path / "textures-0007.tar").write_bytes(b"of a longer run")
    assert prepare_textures(shards.parent / "pictures", tmp_path, count=4) == 4
    assert {path.name for path in tmp_path.glob("textures-*")} == stored


def test_a_shard_that_ends_too_soon_is_named(tmp_path):
    with tarfile.open(tmp_path / "tuples-0.tar", "w") as tar:
        entry = tarfile.TarInfo("a.0.jpg")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"jpg"))
    with pytest.raises(ValueError, match=r"tuples-0\.tar: damaged shard \(it ends too soon\)"):
        Shards(tmp_path)


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
