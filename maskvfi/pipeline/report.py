"""What a run did: kept while it runs, returned, and written as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from maskvfi.errors import MediaError
from maskvfi.options import FrameOptions, MaskOptions
from maskvfi.paths import PathLike, check_target, same_file, written_whole
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.renderer import Renderer
from maskvfi.weights.locate import find_weights, name_of
from maskvfi.weights.read import sha256

LARGEST = 1 << 20  # bytes of a report


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes:
        input, output: The paths.
        frames_in, frames_out: How many frames were read and written.
        cuts, duplicates: How many scene cuts and repeated frames were found.
        static_share: The share of pixels that were copied, 0..1, as a mean over the gaps that got new frames and those
            between equal frames, but for cuts.
        computed_share: The share of the picture that the interpolation network computed, 0..1, over the same gaps.
        seconds: Seconds by stage; read and write are the time spent waiting for decoder and encoder.
        peak_memory_bytes: The most memory in use: on the device with CUDA, else of the process.
        device, runtime, precision: What computed the frames; the precision is that of the interpolation network.
        weights: Name, path and SHA-256 of each weights file.
        warnings: One line for everything of the input that was not kept, or was done differently than asked.
        resumed_at: How many output frames an earlier run had made.
        damage: Why the input could not be read to its end; empty if it could.
    """

    input: str
    output: str
    frames_in: int = 0
    frames_out: int = 0
    cuts: int = 0
    duplicates: int = 0
    static_share: float = 0.0
    computed_share: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    device: str = ""
    runtime: str = ""
    precision: str = ""
    weights: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    resumed_at: int = 0
    damage: str = ""

    @classmethod
    def begin(cls, source: PathLike, target: PathLike, options: MaskOptions) -> Report:
        """The report of a run that begins.

        Args:
            source, target: What is read, and what is written.
            options: Name the weights.

        Raises:
            WeightsError: They are missing.
        """
        return cls(os.fspath(source), os.fspath(target), weights=weights_of(options))

    def note_device(self, interpolator: Interpolator) -> None:
        """Note what computes the frames."""
        self.device, self.precision = str(interpolator.device), interpolator.precision
        self.runtime = interpolator.runtime

    def complete(self, renderer: Renderer, began: float) -> None:
        """Note what a renderer counted.

        Args:
            renderer: What made the frames or masks. Its seconds by stage are added to those that are here.
            began: When the run began, by `time.perf_counter`.
        """
        tally = renderer.tally
        self.static_share = tally.static / max(tally.gaps, 1)
        self.computed_share = tally.computed / max(tally.gaps, 1)
        self.seconds = {**self.seconds, **renderer.seconds, "total": time.perf_counter() - began}
        self.peak_memory_bytes = peak_memory(renderer.device)

    @property
    def summary(self) -> str:
        """What was done, in one line."""
        speed = (self.frames_out - self.resumed_at) / max(self.seconds["total"], 1e-9)
        return (
            f"{self.frames_in} frames became {self.frames_out}, {self.cuts} cuts, "
            f"{self.static_share:.0%} still, {speed:.1f} fps on {self.device}"
        )

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name, as JSON types."""
        return asdict(self)


def check_report(report: PathLike, sources: Iterable[PathLike], target: PathLike | None) -> None:
    """Refuse a report that cannot be written, is a file of the run, or would replace a file that is no report.

    Args:
        report: Where it will be written.
        sources: The videos, painted masks and weights that are read.
        target: The video that is written; None if it has no name yet.

    Raises:
        MediaError: It is refused.
    """
    check_target(report, overwrite=True)
    written = target is not None and os.path.realpath(report) == os.path.realpath(target)
    if written or any(same_file(report, source) for source in sources):
        raise MediaError(f"{os.fspath(report)}: cannot be both the report and a file of the run")
    _refuse_other(report)


def _refuse_other(report: PathLike) -> None:
    """Refuse to replace a file that is no report."""
    if os.path.exists(report) and not _is_report(Path(report)):
        raise MediaError(f"{os.fspath(report)}: exists and is no report, and a report replaces nothing else")


def _is_report(path: Path) -> bool:
    """Whether a file is a report of an earlier run, or empty: a new report may replace it."""
    size = path.stat().st_size
    if not 0 < size < LARGEST:
        return size == 0
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"frames_in", "frames_out"} <= found.keys()


def write_report(result: Report, report: PathLike) -> None:
    """Write a report as JSON.

    Args:
        result: The report.
        report: The file, which `check_report` has allowed.

    Raises:
        MediaError: It cannot be written, or another file is there by now.
    """
    _refuse_other(report)  # again: the run took a while
    with written_whole(report) as partial:
        partial.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")


def peak_memory(device: torch.device) -> int:
    """Measure the most memory that this process has used so far.

    Args:
        device: With CUDA its memory is measured, else the process's resident memory.

    Returns:
        Bytes; 0 on Windows, where it is not measured.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def files_of(options: MaskOptions) -> list[PathLike]:
    """The painted masks and weights that options name; weights may be names that are no files."""
    vfi = options.vfi if isinstance(options, FrameOptions) else None
    return [name for name in (options.protect, options.release, options.mask, vfi) if name is not None]


def weights_of(options: MaskOptions) -> list[dict[str, str]]:
    """Name, path and SHA-256 of the weights that the options name."""
    names = (options.vfi if isinstance(options, FrameOptions) else None, options.mask)
    paths = [find_weights(name) for name in names if name is not None]
    return [{"name": name_of(path), "path": str(path), "sha256": sha256(path)} for path in paths]
