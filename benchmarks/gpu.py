"""Measure what needs a graphics card: `make gpu`. Writes one JSON and prints the table for docs/speed.md.

python -m benchmarks.gpu --out gpu.json [--device cuda]

It can be resumed: a part that the JSON already has is not measured again. Of a part that fails it has the error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from maskvfi.options import FrameOptions
from maskvfi.paths import written_whole
from maskvfi.pipeline.run import interpolate
from maskvfi.tools.bench import run_bench

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))
WAYS = (("torch", "fp32"), ("torch", "fp16"), ("compile", "fp16"), ("onnx", "fp32"))
FILE = (("libx264", "none"), ("h264_nvenc", "cuda"))
FRAMES = 96
console = Console(stderr=True)


def main(
    out: Annotated[Path, typer.Option(help="The JSON; one that is there is completed.")] = Path("gpu.json"),
    device: Annotated[str, typer.Option(help="A torch device.")] = "cuda",
    vfi: Annotated[str, typer.Option(help="A RIFE version, or weights.")] = "4.25",
    small: Annotated[bool, typer.Option(help="One small size and few frames, to try the command.")] = False,
) -> None:
    """Measure every part in turn."""
    sizes = ((320, 180),) if small else SIZES
    frames = 6 if small else FRAMES
    parts: dict[str, Callable[[], Any]] = {"tests": lambda: _tests(small)}
    for runtime, precision in WAYS:
        parts[f"{runtime} {precision}"] = partial(_bench, device, runtime, precision, vfi, sizes)
    for codec, hwaccel in FILE:
        parts[f"file {codec}"] = partial(_file, device, codec, hwaccel, sizes[-1], frames)
    parts["two workers"] = lambda: _together(device, sizes[-1], frames)
    parts["8K in tiles"] = lambda: _file(device, "libx264", "none", (640, 360) if small else (7680, 4320), 3)
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    named = torch.cuda.get_device_name() if device.startswith("cuda") else device
    here = {"device": named, "vfi": vfi, "small": small}
    if before := {name: found[name] for name in here if found.get(name, here[name]) != here[name]}:
        raise SystemExit(f"{out}: was begun with {before}; give another --out")
    found |= here
    for name, measure in parts.items():
        if "error" not in found.get(name, {"error": ""}):
            continue
        console.print(name)
        began = time.perf_counter()
        try:
            found[name] = measure()
        except Exception as error:
            found[name] = {"error": " ".join(str(error).split())[:300]}
        found[name]["took"] = time.perf_counter() - began
        with written_whole(out) as unfinished:
            unfinished.write_text(json.dumps(found, indent=2) + "\n")
    for table in _tables(found):
        Console(width=140).print(table)
    for name, part in found.items():
        if isinstance(part, dict) and "error" in part:
            console.print(f"{name}: {part['error']}", markup=False, soft_wrap=True)


def _tests(small: bool) -> dict[str, Any]:
    """The tests that run on a card: golden vectors of all networks in fp32 and fp16, the mask, composition."""
    chosen = ["-k", "4.25 and cuda"] if small else ["-m", "cuda"]
    command = [sys.executable, "-m", "pytest", "-q", "tests", *chosen, "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode:
        raise RuntimeError(f"tests failed: {last}")
    return {"last line": last}


def _bench(
    device: str, runtime: str, precision: str, vfi: str, sizes: tuple[tuple[int, int], ...]
) -> dict[str, Any]:
    options = FrameOptions(vfi=vfi, device=device, runtime=runtime, precision=precision)
    _reset(device)
    report = run_bench(options, sizes=sizes, repeats=5)
    return {**asdict(report), "peak_memory_bytes": _peak(device)}


def _file(device: str, codec: str, hwaccel: str, size: tuple[int, int], frames: int) -> dict[str, Any]:
    """A whole file, with the networks in the box."""
    with tempfile.TemporaryDirectory() as folder:
        source = _moving(Path(folder), size, frames)
        _reset(device)
        report = interpolate(
            source,
            Path(folder) / "out.mp4",
            device=device,
            codec=codec,
            hwaccel=None if hwaccel == "none" else hwaccel,
        )
    rate = report.frames_out / report.seconds["total"]
    return {"size": f"{size[0]}x{size[1]}", "frames_per_second": rate, **report.to_dict()}


def _together(device: str, size: tuple[int, int], frames: int) -> dict[str, Any]:
    """Two workers of one device, each with a whole file: the new frames of both in a second."""
    with tempfile.TemporaryDirectory() as folder:
        source = _moving(Path(folder), size, frames)
        command = [sys.executable, "-m", "maskvfi.cli", "interpolate", str(source), "--device", device]
        outputs = [Path(folder) / f"{name}.mp4" for name in ("one", "two")]
        began = time.perf_counter()
        workers = [subprocess.Popen([*command, str(output)]) for output in outputs]
        codes = [worker.wait() for worker in workers]
        if any(codes):
            raise RuntimeError("a worker failed")
        rate = 2 * (2 * frames - 1) / (time.perf_counter() - began)
    return {"frames of both in a second": rate, "size": f"{size[0]}x{size[1]}"}


def _moving(folder: Path, size: tuple[int, int], frames: int) -> Path:
    """A film whose picture moves everywhere."""
    source = folder / "in.mp4"
    picture = f"testsrc2=size={size[0]}x{size[1]}:rate=24,scroll=h=0.02:v=0.02"
    made = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", str(frames)]
    subprocess.run([*made, "-pix_fmt", "yuv420p", "-preset", "ultrafast", str(source)], check=True)
    return source


def _reset(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else 0


def _tables(found: dict[str, Any]) -> list[Table]:
    networks = Table(
        "runtime", "size", "plain ms", "ours ms", "ratio", "mask ms", "mask share", title=found["device"]
    )
    files = Table("file", "size", "frames a second", "still", "peak GiB")
    for name, part in found.items():
        if not isinstance(part, dict) or "error" in part:
            continue
        for cost in part.get("sizes", ()):
            shown = (
                f"{1000 * cost['plain']:.1f}",
                f"{1000 * cost['network']:.1f}",
                f"{cost['plain'] / cost['network']:.2f}",
                f"{1000 * cost['mask']:.1f}",
                f"{cost['mask'] / cost['network']:.0%}",
            )
            networks.add_row(name, f"{cost['width']}x{cost['height']}", *shown)
        if "frames_per_second" in part:
            memory = part["peak_memory_bytes"] / 2**30
            still = f"{part['static_share']:.0%}"
            files.add_row(name, part["size"], f"{part['frames_per_second']:.1f}", still, f"{memory:.2f}")
    return [networks, files]


if __name__ == "__main__":
    typer.run(main)
