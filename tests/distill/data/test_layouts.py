"""Data sets by their folders: the sequences that are listed are found, and cut into tuples."""

import cv2
import numpy as np
import pytest

from distill.data.clips import Shards
from distill.data.layouts import find_sequences
from distill.data.mask_samples import Stills
from distill.data.prepare import Recipe, prepare
from distill.data.triplets import Triplets


def write(folder, names):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (20, 30, 3), np.uint8), (300, 200))
    for k, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.roll(picture, 5 * k, axis=1))


def vimeo(root, count, listing):
    for entry in ("00001/0001", "00001/0002", "00002/0001"):
        write(root / "sequences" / entry, [f"im{k + 1}.png" for k in range(count)])
    (root / listing).write_text("00001/0001\n00002/0001\n")


def x4k(root):
    write(root / "train" / "002" / "occ008.320_f3319", [f"{k:04d}.png" for k in range(33)])


def atd(root):
    write(root / "train_10k" / "Disney_v4_1", [f"frame{k + 1}.jpg" for k in range(3)])


@pytest.mark.parametrize(
    ("make", "names", "kind", "frames"),
    [
        (lambda r: vimeo(r, 3, "tri_trainlist.txt"), ["00001-0001", "00002-0001"], "natural", 3),
        (lambda r: vimeo(r, 7, "sep_trainlist.txt"), ["00001-0001", "00002-0001"], "natural", 5),
        (x4k, ["train-002-occ008_320_f3319"], "natural", 5),
        (atd, ["train_10k-Disney_v4_1"], "anime", 3),
    ],
)
def test_a_layout_is_known_by_its_folders(tmp_path, make, names, kind, frames):
    make(tmp_path / "set")
    sequences = find_sequences(tmp_path / "set")
    assert [(s.name, s.kind) for s in sequences] == [(name, kind) for name in names]
    assert prepare(tmp_path / "set", tmp_path / "out", Recipe(size=128)) == len(names)
    shards = Shards(tmp_path / "out")
    assert shards.keys == names
    cut = shards.frames(0)
    assert [frame.shape for frame in cut] == [(128, 128, 3)] * frames
    assert cv2.absdiff(cut[0], cut[1]).mean() > 1


def test_three_frames_train_interpolation_and_masks_say_why_not(tmp_path, shards):
    atd(tmp_path / "set")
    prepare(tmp_path / "set", tmp_path / "out", Recipe(size=128))
    for textures in shards.glob("textures-*.tar"):
        (tmp_path / "out" / textures.name).write_bytes(textures.read_bytes())
    assert Triplets(tmp_path / "out", size=64, synthetic=0.0)[0]["truth"].shape == (3, 64, 64)
    with pytest.raises(ValueError, match="its tuples have 3 frames, the mask is trained on 5"):
        Stills(tmp_path / "out")


def test_a_listed_sequence_that_is_missing_is_named(tmp_path):
    vimeo(tmp_path, 3, "tri_trainlist.txt")
    (tmp_path / "tri_trainlist.txt").write_text("00009/0009\n")
    with pytest.raises(ValueError, match="0009: holds 0 pictures"):
        find_sequences(tmp_path)
