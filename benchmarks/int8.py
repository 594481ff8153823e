"""What bfloat16 and eight-bit integers (int8) win and cost: speed, the mask's F1, the frames' PSNR and ST-LPIPS.

pip install nncf
maskvfi weights get rife-4.0
python -m benchmarks.int8 --train CLIPS --clips CLIPS [--threads 2] [--runs 2]

The exported graphs of the networks in the box are quantised after training (NNCF, its default preset) and computed by
OpenVINO, as whole frames, in every precision. In torch they are computed as maskvfi does, with flow in float32.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import cv2
import nncf
import numpy as np
import openvino
import torch
import typer
from einops import rearrange
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.arrays import Floats, Image
from distill.data.clips import find_clips
from distill.evaluate.cases import static_cases
from distill.evaluate.judges import PROBABILITIES, Judge
from distill.evaluate.runs import moving_runs
from distill.evaluate.similarity import Similarity
from distill.evaluate.staticbench import TARGET, judge_cases
from maskvfi.allocator import keep_freed_memory
from maskvfi.runtimes import on_device
from maskvfi.runtimes.export import export
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.weights.locate import find_weights

MASK, NETWORKS, OFFICIAL = "static-s", ("vfi-s", "vfi-m"), "rife-4.0"
PRECISIONS = {"float32": ("float", "f32"), "bfloat16": ("float", "bf16"), "int8": ("int8", "f32")}
HEIGHT, WIDTH = 720, 1280
CALIBRATION = 48  # clips; at most one pair of frames of each sets the ranges of the integers
MIDDLE = np.full((1, 1, 1, 1), 0.5, np.float32)
Compiled = Callable[[Image, Image], np.ndarray]


def main(
    train: Annotated[Path, typer.Option(help="Clips by which the ranges are chosen.")],
    clips: Annotated[Path, typer.Option(help="Other clips, on which all is measured.")],
    threads: Annotated[int, typer.Option(help="Threads that compute.")] = 2,
    runs: Annotated[int, typer.Option(help="Places per clip, for frames.")] = 2,
    repeats: int = 9,
) -> None:
    """Quantise, measure and print one row for each network and precision."""
    find_weights(OFFICIAL)  # if they are missing, say so before the work
    table = Table("network", "precision", "1280x720 s", "mask: F1 of pairs", "PSNR dB", "ST-LPIPS")
    calibrating = (run.truth for clip in find_clips(train)[:CALIBRATION] for run in moving_runs(clip, 1))
    pairs = [(first, second) for first, second, *_ in calibrating]
    timed = pairs[0]
    with tempfile.TemporaryDirectory() as folder:
        for name in (MASK, *NETWORKS):
            models = {"float": _graph(name, Path(folder))}
            shown = nncf.Dataset([_inputs(name, *pair) for pair in pairs])
            models["int8"] = nncf.quantize(models["float"], shown, subset_size=len(pairs))
            for precision, (form, hint) in PRECISIONS.items():
                seconds = _seconds(
                    _compiled(name, models[form], hint, threads, (HEIGHT, WIDTH)), timed, repeats
                )
                compute = _compiled(name, models[form], hint, threads)
                said = (
                    [f"{_f1(compute, clips):.3f}", "", ""]
                    if name == MASK
                    else ["", *_frames(compute, clips, runs)]
                )
                table.add_row(name, precision, f"{seconds:.3f}", *said)
    for name in (MASK, *NETWORKS, OFFICIAL):
        for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            shipped = _in_torch(name, threads, dtype)
            seconds = _seconds(shipped, timed, repeats)
            said = (
                [f"{_f1(shipped, clips):.3f}", "", ""]
                if name == MASK
                else ["", *_frames(shipped, clips, runs)]
            )
            table.add_row(name, f"{precision}, torch", f"{seconds:.3f}", *said)
    Console(width=120).print(table)


def _graph(name: str, folder: Path) -> Any:
    path = folder / f"{name}.onnx"
    export(name, path)
    return openvino.Core().read_model(path)


def _inputs(name: str, first: Image, second: Image) -> list[np.ndarray]:
    """What a graph takes: both frames [1,3,H,W] in 0..1, and for interpolation the time."""
    frames = [rearrange(frame, "h w c -> 1 c h w").astype(np.float32) / 255 for frame in (first, second)]
    return frames if name == MASK else [*frames, MIDDLE]


def _compiled(
    name: str, model: Any, hint: str, threads: int, size: tuple[int, int] | None = None
) -> Compiled:
    """A graph as a function of two frames; for one size, or for any."""
    hints = {
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    model = model.clone()
    if size:
        model.reshape({index: openvino.PartialShape([1, 3, *size]) for index in range(2)})
    compiled = openvino.Core().compile_model(model, "CPU", hints)

    def compute(first: Image, second: Image) -> np.ndarray:
        found: np.ndarray = compiled(_inputs(name, first, second))[0].copy()
        return found

    return compute


def _in_torch(name: str, threads: int, dtype: torch.dtype) -> Compiled:
    """A network in torch, as maskvfi computes it by default on a CPU: in bfloat16 if that is faster there."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    loaded = load_static(name) if name == MASK else load_vfi(name)
    network = on_device(loaded, torch.device("cpu"), dtype, channels_last=name == MASK).eval()

    @torch.inference_mode()
    def compute(first: Image, second: Image) -> np.ndarray:
        found = network(*(torch.from_numpy(x) for x in _inputs(MASK, first, second)))
        made: np.ndarray = (found if name == MASK else found.frame).numpy()
        return made

    return compute


def _seconds(compute: Compiled, pair: tuple[Image, Image], repeats: int) -> float:
    """The median time of one computation."""
    frames = [cv2.resize(frame, (WIDTH, HEIGHT)) for frame in pair]
    taken = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        compute(*frames)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[2:]))


def _f1(compute: Compiled, clips: Path) -> float:
    """Mean F1 of StaticBench at 0.5, every gap judged by its own two frames."""

    def scores(frames: list[Image]) -> Floats:
        return np.concatenate([compute(*pair)[:, 0] for pair in pairwise(frames)])

    judge = Judge("", scores, PROBABILITIES)
    [result] = judge_cases([judge], static_cases(clips, 1, 1), []).results
    return float(np.mean([result.f1[kind][result.middle()] for kind in TARGET]))


def _frames(compute: Compiled, clips: Path, runs: int) -> list[str]:
    """PSNR and ST-LPIPS of the frames in the middle, mean over clips."""
    similarity, by_clip = Similarity(["psnr", "stlpips"]), []
    for clip in track(find_clips(clips), os.fspath(clips), console=Console(stderr=True)):
        scores = []
        for run in moving_runs(clip, runs, 2):
            start, _, end = run.truth
            made = np.round(255 * np.clip(compute(start, end)[0], 0, 1)).astype(np.uint8)
            found = similarity.measures([start, rearrange(made, "c h w -> h w c"), end], run.truth)
            scores.append([found["psnr"], found["stlpips"]])
        if scores:
            by_clip.append(np.mean(scores, axis=0))
    psnr, stlpips = np.mean(by_clip, axis=0)
    return [f"{psnr:.2f}", f"{stlpips:.4f}"]


if __name__ == "__main__":
    typer.run(main)
