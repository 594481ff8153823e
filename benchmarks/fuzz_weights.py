"""Damage weights files at random and load them: each must load, or be refused in one line that names it.

python -m benchmarks.fuzz_weights --cases 2000 [--seed 0]
"""

from __future__ import annotations

import json
import resource
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks.fuzzing import MEMORY, damaged, numbers, print_ends
from maskvfi.errors import WeightsError
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.weights.locate import find_weights

LONG = 20.0  # seconds that a case may take
ENDS = {"loaded": "loaded", "refused": "refused in a line", "crashed": "crashed", "too long": "too long"}
LOADERS: dict[str, Callable[[Path], object]] = {"vfi": load_vfi, "static": load_static}


def main(
    cases: Annotated[int, typer.Option(help="How many files.")] = 2000,
    seed: Annotated[int, typer.Option(help="Equal seeds damage alike.")] = 0,
) -> None:
    """Count how the cases end; exit code 1 if any ends badly."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        sources = _sources(Path(folder))
        ends: dict[str, Counter[str]] = {name: Counter() for name in sources}
        for number in numbers(cases):
            name = list(sources)[number % len(sources)]
            rng = np.random.default_rng((seed, number))
            kind, whole = sources[name]
            path = Path(folder) / f"case{Path(name).suffix}"
            absurd = name.endswith(".safetensors") and rng.random() < 0.3
            path.write_bytes(_absurd(whole, rng) if absurd else damaged(whole, rng))
            began = time.monotonic()
            try:
                LOADERS[kind](path)
                end = "loaded"
            except WeightsError as error:
                end = "refused" if str(path) in str(error) and "\n" not in str(error) else "crashed"
                if end == "crashed":
                    Console(stderr=True).print(f"case {number} ({name}): not one line: {error!r}")
            except Exception as error:
                end = "crashed"
                Console(stderr=True).print(f"case {number} ({name}): {error!r}"[:300], highlight=False)
            ends[name]["too long" if time.monotonic() - began > LONG else end] += 1
    print_ends("source", ends, ENDS)


def _sources(folder: Path) -> dict[str, tuple[str, bytes]]:
    """The kind and the bytes of undamaged weights by file name: safetensors, and both formats of torch.save."""
    vfi, static = find_weights("vfi-s"), find_weights("static-s")
    network = IFNet(replace(find_variant("4.6"), family="small", versions=(), channels=(8, 8, 8, 8)))
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save(state, folder / "zip.pkl")
    torch.save(state, folder / "legacy.pkl", _use_new_zipfile_serialization=False)
    return {
        "vfi-s.safetensors": ("vfi", vfi.read_bytes()),
        "static-s.safetensors": ("static", static.read_bytes()),
        "zip.pkl": ("vfi", (folder / "zip.pkl").read_bytes()),
        "legacy.pkl": ("vfi", (folder / "legacy.pkl").read_bytes()),
    }


def _absurd(whole: bytes, rng: np.random.Generator) -> bytes:
    """Put absurd values into the header: a length, a shape, offsets, or the variant."""
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    kind = rng.integers(4)
    if kind == 0:
        return struct.pack("<Q", int(rng.choice([2**62, 2**32, length * 7, 0]))) + whole[8:]
    key = str(rng.choice([key for key in header if key != "__metadata__"]))
    if kind == 1:
        header[key]["shape"] = [int(2 ** rng.uniform(0, 40)) for _ in range(4)]
    elif kind == 2:
        header[key]["data_offsets"] = [0, int(2 ** rng.uniform(0, 60))]
    else:
        found = header.get("__metadata__", {})
        for name, value in found.items():
            found[name] = str(value).translate(str.maketrans("0123456789", "9" * 10))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


if __name__ == "__main__":
    typer.run(main)
