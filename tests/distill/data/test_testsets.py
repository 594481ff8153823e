"""Test sets: each is read by its own layout and protocol, checked on small folders of the same shape."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.data.testsets import ATD_SIZE, XIPH, find_runs
from distill.options import SETS


def put(path: Path, value: int, size: tuple[int, int] = (16, 8)) -> None:
    """A picture of one grey, `size` px wide and high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))


def greys(run) -> list[int]:
    return [round(float(frame.mean())) for frame in run.frames()]


def test_vimeo_reads_its_test_list_alone(tmp_path):
    for entry in ("00001/0001", "00001/0002", "00078/0009"):
        for k in (1, 2, 3):
            put(tmp_path / "sequences" / entry / f"im{k}.png", 10 * k)
    (tmp_path / "tri_testlist.txt").write_text("00001/0002\n00078/0009\n\n")
    runs = find_runs("vimeo90k", tmp_path)
    assert [run.name for run in runs] == ["00001/0002", "00078/0009"]
    assert greys(runs[0]) == [10, 20, 30]


@pytest.mark.parametrize("lists", [".", "eval_modes"])
def test_snu_film_has_four_levels_and_lists_that_name_their_authors_folder(tmp_path, lists):
    (tmp_path / lists).mkdir(exist_ok=True)
    for step, level in enumerate(("easy", "medium", "hard", "extreme"), 1):
        names = [f"data/SNU-FILM/test/GOPRO_test/GOPR01/{100 + k * step:06d}.png" for k in (0, 1, 2)]
        for k, name in enumerate(names):
            put(tmp_path / "test" / Path(*Path(name).parts[3:]), 100 + k * step)
        (tmp_path / lists / f"test-{level}.txt").write_text(" ".join(names) + "\n")
    runs = find_runs("snu-film", tmp_path)
    assert [run.part for run in runs] == ["easy", "medium", "hard", "extreme"]
    assert greys(runs[3]) == [100, 104, 108]


def test_xiph_makes_every_even_frame_at_half_size_and_in_the_middle(tmp_path):
    for clip in XIPH[:2]:
        for k in range(1, 101):
            path = tmp_path / f"{clip}-{k:03d}.png"
            picture = np.full((8, 16, 3), k, np.uint8)
            picture[2:6, 4:12] = 100 + k
            cv2.imwrite(str(path), picture)
    runs = find_runs("xiph", tmp_path)
    assert len(runs) == 2 * 2 * 49
    whole, crop = runs[0], next(run for run in runs if run.part == "4K crop")
    assert [frame.shape for frame in whole.frames()] == [(4, 8, 3)] * 3
    assert whole.frames()[1][0, 0, 0] == 2
    assert whole.frames()[1][1, 2, 0] == 102
    assert greys(crop) == [101, 102, 103]
    assert runs[48].name == "BoxingPractice-098"


def test_x_test_has_seven_frames_between_or_three(tmp_path):
    for kind in ("Type1", "Type3"):
        for k in range(33):
            put(tmp_path / "test" / kind / "TEST01_003" / f"{k:04d}.png", k)
    (run, *_), by_four = find_runs("x-test", tmp_path), find_runs("x-test", tmp_path, times=4)
    assert (run.part, run.name) == ("4K", "Type1/TEST01_003")
    assert greys(run) == [*range(0, 33, 4)]
    assert greys(by_four[0]) == [0, 8, 16, 24, 32]
    assert by_four[-1].part == "2K"
    assert by_four[-1].frames()[0].shape == (4, 8, 3)
    with pytest.raises(ValueError, match="x-test is measured at 8x or 4x, not 2x"):
        find_runs("x-test", tmp_path, times=2)


def test_davis_makes_every_other_frame_from_the_fourth_on_in_the_middle(tmp_path):
    for k in range(10):
        put(tmp_path / "480p" / "bear" / f"{k:05d}.jpg", 10 * k, size=(854, 480))
    runs = find_runs("davis", tmp_path)
    assert [run.name for run in runs] == ["bear/00003", "bear/00005"]
    assert greys(runs[0]) == [20, 30, 40]
    assert runs[0].frames()[0].shape == (480, 848, 3)


@pytest.mark.parametrize("folder", ["test_2k_540p", "test_2k_original"])
def test_atd12k_is_measured_at_540_lines_by_level(tmp_path, folder):
    for number, name in enumerate(("Disney_v4_21_041229_s2", "Japan_v2_1_028214_s3")):
        for k in (1, 2, 3):
            put(tmp_path / folder / name / f"frame{k}.jpg", 40 * k, size=(192, 108))
        about = tmp_path / "test_2k_annotations" / name / f"{name}.json"
        about.parent.mkdir(parents=True)
        about.write_text(json.dumps({"level": 2 * number}))
    runs = find_runs("atd12k", tmp_path)
    assert [run.part for run in runs] == ["easy", "hard"]
    assert greys(runs[0]) == [40, 80, 120]
    assert runs[0].frames()[0].shape[1::-1] == ATD_SIZE


def test_gdm_is_measured_at_half_size(tmp_path):
    for k in range(8):
        put(tmp_path / "chat_01" / f"{k:05d}.png", 30 * k, size=(18, 10))
    runs = find_runs("gdm", tmp_path)
    assert [run.name for run in runs] == ["chat_01/00003"]
    assert greys(runs[0]) == [60, 90, 120]
    assert runs[0].frames()[0].shape == (5, 9, 3)


def test_most_takes_runs_that_are_evenly_spread(tmp_path):
    for k in range(40):
        put(tmp_path / "chat" / f"{k:05d}.png", k)
    assert [run.name[-2:] for run in find_runs("gdm", tmp_path, most=3)] == ["03", "19", "35"]


@pytest.mark.parametrize("name", SETS)
def test_another_folder_is_refused_with_the_layout_that_is_needed(tmp_path, name):
    put(tmp_path / "a.png", 1)
    with pytest.raises(ValueError, match=f"is not laid out as {name} is"):
        find_runs(name, tmp_path)


def test_a_missing_picture_is_named(tmp_path):
    (tmp_path / "tri_testlist.txt").write_text("00001/0001\n")
    with pytest.raises(ValueError, match=r"im1\.png: is missing"):
        find_runs("vimeo90k", tmp_path)[0].frames()


def test_an_unknown_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there are vimeo90k, snu-film"):
        find_runs("ucf101", tmp_path)
