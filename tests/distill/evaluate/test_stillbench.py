"""The still-things benchmark: its truth is exact, its regions count by themselves, and any program can take part."""

import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from distill.cli import main
from distill.data.tensors import as_batch
from distill.evaluate import stillmethods
from distill.evaluate.judges import unchanged_judge
from distill.evaluate.methods import blend
from distill.evaluate.psnr import MOST, psnr
from distill.evaluate.regions import regions_of
from distill.evaluate.stillbench import RegionalDistance, judge_methods, still_rows, still_tables
from distill.evaluate.stillcases import KINDS, SIDE, StillCase, _standing, still_cases
from distill.evaluate.stillmethods import LOCK, all_makers, command_maker, lock, of_pairs
from distill.evaluate.stillpage import still_page
from distill.synthetic.overlays import Overlay
from distill.training.perceptual import load_perceptual

ROOT = Path(__file__).parents[3]
# Doubles the rate of a folder of pictures by showing each twice, but for the last.
TWICE = (
    "import sys, shutil, pathlib; "
    "given = sorted(pathlib.Path(sys.argv[1]).iterdir()); "
    "[shutil.copy(given[k // 2], pathlib.Path(sys.argv[2]) / f'{k:03d}.png') for k in range(2 * len(given) - 1)]"
)


@pytest.fixture(scope="module")
def still(clips) -> list[StillCase]:
    return list(still_cases(clips, len(KINDS), seed=1))


def by_hand(moves: int = 3) -> StillCase:
    """A plate that stands still over a picture that slides by `moves` px a frame."""
    rng = np.random.default_rng(0)
    sheet = rng.integers(0, 256, (64, 64 + 4 * moves, 3)).astype(np.uint8)
    frames = [np.ascontiguousarray(sheet[:, moves * k : moves * k + 64]) for k in range(5)]
    inside = np.zeros((64, 64), bool)
    inside[20:30, 10:40] = True
    for frame in frames:
        frame[inside] = 200
    return StillCase("hud", "hand", frames[::2], frames[::2], [frames[1::2]], inside)


def test_kinds_take_turns_and_every_case_has_something_that_stands(still):
    assert [case.kind for case in still] == list(KINDS)
    for case in still:
        assert [frame.shape for frame in case.given] == [(SIDE, SIDE, 3)] * 3
        assert [len(truth) for truth in case.truths] == [2] * (2 if case.kind == "replaced" else 1)
        assert case.inside.any()
        coded = case.kind in ("codec", "noise")
        assert coded != all(np.array_equal(a, b) for a, b in zip(case.given, case.clean, strict=True))


def test_what_stands_is_equal_in_truth_and_frames(still):
    for case in still:
        if case.kind in ("hud", "codec", "noise", "wall"):
            solid = case.inside
            if case.kind != "wall":  # rims of letters let what is behind them through
                solid = np.abs(case.clean[0].astype(int) - case.clean[1]).max(axis=2) < 1
            for truth in case.truths[0]:
                assert psnr(truth, case.clean[0], case.inside & solid) > 35


def test_a_fade_is_halfway_in_the_middle():
    plate = np.full((SIDE, SIDE, 3), 250, np.float32), np.ones((SIDE, SIDE), np.float32)
    for seed in range(20):
        fading = _standing(Overlay.steady(plate, 5), "fade", np.random.default_rng(seed))
        before, first, between, second, after = fading.opacity
        assert abs(after - before) > 0.04
        assert [first, between, second] == pytest.approx(np.linspace(before, after, 5)[1:-1])


def test_either_time_of_a_replacement_is_right(still):
    (case,) = (case for case in still if case.kind == "replaced")
    late, early = case.truths
    for truths in (early, late, [early[0], late[1]]):
        (score,) = judge_methods([case], {"knowing": lambda _, truths=truths: list(truths)}).scores
        assert score.psnr["inside"] == MOST
    assert not np.array_equal(early[0], late[0]) or not np.array_equal(early[1], late[1])


def test_regions_do_not_overlap_and_count_by_themselves():
    case = by_hand()
    regions = regions_of(case.inside)
    assert np.array_equal(sum(where.astype(int) for where in regions.values()), np.ones((64, 64), int))
    truth = case.truths[0]

    def spoilt(region: str) -> list[np.ndarray]:
        return [np.where(regions[region][..., None], frame ^ 32, frame) for frame in truth]

    bench = judge_methods([case], {region: lambda _, r=region: spoilt(r) for region in regions})
    for score in bench.scores:
        assert {region for region, found in score.psnr.items() if found < MOST} == {score.method}
        assert (score.flicker > 0) == (score.method == "inside")
    assert bench.together("ring") == pytest.approx((MOST * 2 + 20 * np.log10(255 / 32)) / 3, abs=1e-3)


def test_st_lpips_of_regions_is_nought_where_nothing_differs_and_most_where_it_does():
    try:
        distance = RegionalDistance()
    except ValueError as error:
        pytest.skip(str(error))
    case = by_hand()
    truth, regions = case.truths[0][0], regions_of(case.inside)
    assert distance(truth, truth, regions) == pytest.approx(dict.fromkeys(regions, 0.0), abs=1e-7)
    found = distance(np.where(case.inside[..., None], truth ^ 64, truth), truth, regions)
    assert min(found["inside"], found["ring"]) > 2 * found["elsewhere"]
    spoilt = truth ^ 16
    whole = float(load_perceptual()(as_batch([spoilt]), as_batch([truth])))
    assert distance(spoilt, truth, {"all": case.inside | True})["all"] == pytest.approx(whole, rel=0.05)


def test_a_lock_copies_what_did_not_change_and_nothing_else():
    case = by_hand()
    warped = of_pairs(lambda start, end, _: [np.zeros_like(start)])
    made = lock(warped, unchanged_judge(), LOCK)(case)
    inner = np.zeros_like(case.inside)
    inner[24:26, 16:34] = True  # a blur of 1.5 px belongs to the judge
    assert psnr(made[1], case.truths[0][1], inner) == MOST
    assert (made[1][~case.inside] == 0).mean() > 0.9


@pytest.mark.parametrize("places", ["{in} {out}", "{in.mkv} {out.mkv}", "{in.y4m} {out.y4m}"])
def test_any_program_can_be_measured(places, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    case = by_hand()
    if places == "{in} {out}":
        command = f"{shlex.quote(sys.executable)} -c {shlex.quote(TWICE)} {places}"
    else:
        program = tmp_path / "program.py"
        program.write_text(
            "import sys, av\n"
            "given = [f.to_ndarray(format='rgb24') for f in av.open(sys.argv[1]).decode(video=0)]\n"
            "y4m = sys.argv[2].endswith('y4m')\n"
            "with av.open(sys.argv[2], 'w', format='yuv4mpegpipe' if y4m else None) as out:\n"
            "    stream = out.add_stream('wrapped_avframe' if y4m else 'ffv1', 25)\n"
            "    stream.height, stream.width = given[0].shape[:2]\n"
            "    stream.pix_fmt = 'yuv444p' if y4m else 'bgr0'\n"
            "    for k in range(2 * len(given)):\n"
            "        frame = av.VideoFrame.from_ndarray(given[k // 2], format='rgb24')\n"
            "        out.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))\n"
            "    out.mux(stream.encode())\n"
        )
        command = f"{shlex.quote(sys.executable)} {program} {places}"
    made = command_maker(command)(case)
    assert len(made) == 2
    least = 25 if "y4m" in places else MOST
    assert all(psnr(frame, given) >= least for frame, given in zip(made, case.given, strict=False))


def test_a_program_that_fails_or_makes_too_few_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"needs \{in\} and \{out\}"):
        command_maker("cp {in}")
    with pytest.raises(ValueError, match="ended with code 3: no message"):
        command_maker(f"{shlex.quote(sys.executable)} -c 'exit(3)' {{in}} {{out}}")(by_hand())
    with pytest.raises(ValueError, match="made 0 frames of 3, not 5 or 6"):
        command_maker(f"{shlex.quote(sys.executable)} -c pass {{in}} {{out}}")(by_hand())
    with pytest.raises(ValueError, match="takes NAME=COMMAND"):
        all_makers("vfi-s", "static-s", commands=["cp"])
    with pytest.raises(ValueError, match="--method blend: there is a method of this name already"):
        all_makers("vfi-s", "static-s", commands=["blend=cp {in} {out}"])
    small = (
        "import sys, cv2; first = cv2.imread(sys.argv[1] + '/000000.png')[1:]; "
        "[cv2.imwrite(f'{sys.argv[2]}/{k}.png', first) for k in range(5)]"
    )
    with pytest.raises(ValueError, match="made a frame of 64x63 of frames of 64x64"):
        command_maker(f"{shlex.quote(sys.executable)} -c {shlex.quote(small)} {{in}} {{out}}")(by_hand())


def test_masks_of_one_file_name_are_told_apart(tmp_path: Path):
    masks = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        masks.append(
            str(
                shutil.copy(ROOT / "weights" / "static-s.safetensors", tmp_path / run / "weights.safetensors")
            )
        )
    assert {f"vfi-s + {mask}" for mask in masks} < set(all_makers("vfi-s", masks[0], masks[1:])[0])


def test_the_page_has_every_method_and_a_picture_of_every_kind(still, tmp_path: Path):
    makers, missing = all_makers("vfi-s", "static-s")
    wanted = {"vfi-s + static-s", "vfi-s, no mask", "HUD lock", "painted mask", "blend"}
    assert wanted <= set(makers)
    assert all("rife-4.0" in name or "minterpolate" in name for name in missing)
    makers = {name: makers[name] for name in ("vfi-s + static-s", "painted mask", "blend")}
    makers["<b>"] = of_pairs(blend)
    bench = judge_methods(still[:2], makers)
    assert bench.cases["hud"] == bench.cases["glass"] == 1
    assert bench.mean("painted mask", "psnr", "inside", "hud") > 45
    text = still_page(bench, "<clips>")
    assert text.count("<img") == 2 * (2 + len(makers))
    assert "://" not in text
    assert "<b></th>" not in text
    assert "&lt;b&gt;" in text
    assert "&lt;clips&gt;" in text
    tables = still_tables(bench)
    assert [table.row_count for table in tables] == [4, 5, 5] + [5] * any(
        score.stlpips for score in bench.scores
    )
    assert still_rows(bench)[0][1][:5] == ["method", "inside", "ring", "elsewhere", "together"]


def test_the_command_writes_a_page_and_replaces_none_unasked(clips, tmp_path, monkeypatch, capsys):
    makers = {"first": of_pairs(blend), "second": lambda case: case.given[:2]}
    monkeypatch.setattr(stillmethods, "all_makers", lambda *_: (makers, ["rife-4.0 (needs a download)"]))
    words = [
        "distill",
        "bench-still",
        "--clips",
        str(clips),
        "--cases",
        "1",
        "--out",
        str(tmp_path / "still.html"),
    ]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown = capsys.readouterr()
    assert "together" in shown.out
    assert "not measured: rife-4.0" in shown.err
    page = (tmp_path / "still.html").read_text()
    assert "first against second" in page
    assert "Where others are ahead of first" in page
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "exists already" in " ".join(capsys.readouterr().err.split())
