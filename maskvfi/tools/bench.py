"""Measures how fast this machine is at every stage, and how fast the plain network is in the same run."""

from __future__ import annotations

import contextlib
import copy
import json
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from rich.table import Table
from torch import Tensor

from maskvfi.allocator import freeing
from maskvfi.errors import OptionError
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.rife import IFNet
from maskvfi.models.rife.reference import PlainIFNet
from maskvfi.models.rife.variants import VARIANTS, find_variant, version_of
from maskvfi.options import FrameOptions
from maskvfi.paths import PathLike, check_target, written_whole
from maskvfi.pipeline.run import interpolate
from maskvfi.synthesis.compose import compose
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.layouts import VideoLayout
from maskvfi.synthesis.renderer import group_size
from maskvfi.tools.demo import render_clip
from maskvfi.video.pixel_format import Colour, PixelFormat
from maskvfi.weights.load import load_vfi

SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
STILL_SHARES = (0.0, 0.5, 0.8, 0.9, 0.95, 1.0)
LAYOUT = VideoLayout(PixelFormat.parse("yuv420p"), Colour("bt709", False))
TIME = 0.5
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SizeCost:
    """Seconds for one new frame of a size, each the median of several measurements.

    Attributes:
        width, height: The size in px.
        plain: The reference network on the whole picture, in torch and float32, with glibc's default thresholds.
        network: Our network on the whole picture, as if everything moved.
        mask: The mask of a pair of frames.
        stream: A mask in a stream, where masks of several gaps are computed together and a frame is encoded once.
        fuse: The composition in yuv420p.
        minterpolate: ffmpeg's minterpolate, or None without ffmpeg.
        difference: The largest difference between the frames of network and plain, RGB in 0..1.
    """

    width: int
    height: int
    plain: float
    network: float
    mask: float
    stream: float
    fuse: float
    minterpolate: float | None
    difference: float


@dataclass(frozen=True, slots=True)
class StillCost:
    """The cost of one new frame, mask and composition included, when a part of the picture stands still.

    Attributes:
        width, height: The size in px.
        share: The share of the picture that stands still, 0..1.
        computed: The share of the picture that the network computes, 0..1.
        seconds: Seconds per new frame.
        ratio: The seconds of the plain network without a mask, divided by these.
    """

    width: int
    height: int
    share: float
    computed: float
    seconds: float
    ratio: float


@dataclass(slots=True)
class BenchReport:
    """Everything that `run_bench` measures.

    Attributes:
        machine, device, runtime, precision, threads, vfi: What was measured, and on what.
        sizes: The cost by picture size.
        still: The cost by how much of the picture stands still.
        file: Seconds by stage for a whole file, and its output frames per second.
    """

    machine: str
    device: str
    runtime: str
    precision: str
    threads: int
    vfi: str
    sizes: list[SizeCost] = field(default_factory=list)
    still: list[StillCost] = field(default_factory=list)
    file: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name, as JSON types; --json writes them."""
        return asdict(self)


def run_bench(
    options: FrameOptions | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
    repeats: int = 3,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure networks on this machine.

    Args:
        options: Networks, device and runtime. vfi may also be a RIFE version ("4.25") without its weights, since the
            speed depends only on the network's shape.
        sizes: (width, height) in px.
        repeats: How often each part is timed; the median counts.
        progress: Called with what is being measured.

    Returns:
        The measurements.

    Raises:
        WeightsError, OptionError: As `Interpolator` does.
    """
    options = options or FrameOptions()
    if options.protect is not None or options.release is not None:
        raise OptionError("bench measures frames of its own: painted masks do not fit them")
    say = progress or (lambda _: None)
    network: InterpolationNetwork[Any, Any]
    if version_of(str(options.vfi)) in {version for variant in VARIANTS for version in variant.versions}:
        network = IFNet(find_variant(str(options.vfi))).eval()
    else:
        network = load_vfi(options.vfi)
    plain = copy.deepcopy(network)
    if isinstance(network, IFNet):
        plain = PlainIFNet(network.variant).eval()
        plain.load_state_dict(network.state_dict())
    interpolator = Interpolator.from_options(options, vfi=network)
    plain.to(interpolator.device)
    report = BenchReport(
        f"{platform.machine()} {platform.processor()}".strip(),
        _device_name(interpolator.device),
        interpolator.runtime,
        interpolator.precision,
        torch.get_num_threads(),
        str(options.vfi),
    )
    for width, height in sizes:
        say(f"{width}x{height}")
        report.sizes.append(_measure_size(interpolator, plain, width, height, repeats))
    say("still pictures")
    report.still.extend(_measure_still(interpolator, plain, *sizes[(len(sizes) - 1) // 2], repeats))
    say("a whole file")
    report.file = _measure_file(interpolator)
    return report


def parse_size(text: str) -> tuple[int, int]:
    """Parse a picture size.

    Args:
        text: WIDTHxHEIGHT, such as "1280x720".

    Returns:
        Width and height in px.

    Raises:
        OptionError: The text is not a size.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"a size is WIDTHxHEIGHT, such as 1280x720, not {text!r}")
    return int(width), int(height)


def bench_tables(found: BenchReport) -> Iterator[Table | str]:
    """Show a report in the terminal.

    Args:
        found: The report.

    Yields:
        Lines and tables for rich to print.
    """
    yield f"{found.vfi} on {found.device}, {found.runtime}, {found.precision}, {found.threads} threads"
    table = Table(
        "size",
        "plain s",
        "ours s",
        "ratio",
        "mask s",
        "stream s",
        "compose s",
        "minterpolate s",
        title="One frame",
    )
    for cost in found.sizes:
        other = "" if cost.minterpolate is None else f"{cost.minterpolate:.3f}"
        seconds = (f"{x:.3f}" for x in (cost.mask, cost.stream, cost.fuse))
        ratio = f"{cost.plain / cost.network:.2f}"
        table.add_row(
            f"{cost.width}x{cost.height}", f"{cost.plain:.3f}", f"{cost.network:.3f}", ratio, *seconds, other
        )
    yield table
    title = f"{found.still[0].width}x{found.still[0].height} with the mask"
    still = Table("still", "computed", "seconds", "ratio to plain", title=title)
    for point in found.still:
        still.add_row(
            f"{point.share:.0%}", f"{point.computed:.0%}", f"{point.seconds:.3f}", f"{point.ratio:.2f}"
        )
    yield still
    whole = Table("stage", "seconds", title="A whole file, 640x360, 24 frames to 47")
    for stage, spent in found.file.items():
        whole.add_row(stage.replace("_", " "), f"{spent:.2f}")
    yield whole


def write_report(found: BenchReport, path: PathLike) -> None:
    """Write a report as JSON.

    Args:
        found: The report.
        path: The file.

    Raises:
        MediaError: The file exists or cannot be written.
    """
    with written_whole(check_target(path, overwrite=False), overwrite=False) as partial:
        partial.write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def _measure_size(
    interpolator: Interpolator, plain: InterpolationNetwork[Any, Any], width: int, height: int, repeats: int
) -> SizeCost:
    img0, img1 = _pictures(width, height, interpolator.device)
    weight = torch.zeros_like(img0[:, :1])
    how = TIME, interpolator.scale, interpolator.ensemble
    interpolator.vfi.expect(height, width, interpolator.scale)
    planes = [LAYOUT.colour_planes(image) for image in (img0, img1)]

    view = interpolator.view
    start, gaps = view(img0), group_size(width, height)
    interpolator.probability([start, view(img1)])  # from now on the start is encoded
    gap = interpolator.gap(view(img0), view(img1), weight, interpolator.boxes(weight))
    moving = list(interpolator.moving(gap, TIME))
    difference = (
        interpolator.vfi(img0, img1, *how).frame.float() - plain(img0, img1, *how).frame.float()
    ).abs()
    ours = {
        "network": lambda: interpolator.vfi(img0, img1, *how),
        "mask": lambda: interpolator.probability([view(img0), view(img1)]),
        "stream": lambda: interpolator.probability(
            [start, *(view((img1, img0)[k % 2]) for k in range(gaps))]
        ),
        "fuse": lambda: compose(planes[0], planes[1], TIME, moving, Copied(weight), LAYOUT),
    }
    seconds = _median_seconds(lambda: plain(img0, img1, *how), ours, repeats, interpolator.device)
    seconds["stream"] /= gaps
    return SizeCost(
        width,
        height,
        **seconds,
        minterpolate=_minterpolate(img0, img1),
        difference=float(difference.max()),
    )


def _measure_still(
    interpolator: Interpolator, plain: InterpolationNetwork[Any, Any], width: int, height: int, repeats: int
) -> Iterator[StillCost]:
    """One rectangle in the middle moves and the rest stands still."""
    img0, shifted = _pictures(width, height, interpolator.device)
    how = TIME, interpolator.scale, interpolator.ensemble
    for share in STILL_SHARES:
        still = torch.ones(height, width)
        h, w = (int(side * (1 - share) ** 0.5) for side in (height, width))
        top, left = (height - h) // 2, (width - w) // 2
        still[top : top + h, left : left + w] = 0
        painted = copy.copy(interpolator)
        painted.protect, painted.release = (x[None, None].to(interpolator.device) for x in (still, 1 - still))
        img1 = torch.where(painted.protect > 0, img0, shifted)

        def masked(painted: Interpolator = painted, img1: Tensor = img1) -> Tensor:
            return painted.between(painted.view(img0), painted.view(img1), TIME)

        whole = partial(plain, img0, img1, *how)
        found = _median_seconds(whole, {"masked": masked}, repeats, interpolator.device)
        boxes = painted.boxes(painted.weight(painted.view(img0), painted.view(img1)))
        computed = sum(box.area for box in boxes) / (width * height)
        yield StillCost(width, height, share, computed, found["masked"], found["plain"] / found["masked"])


def _measure_file(interpolator: Interpolator) -> dict[str, float]:
    """Interpolate the demo's clip, 640x360, from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        clip, smooth = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        render_clip(clip, 24)
        report = interpolate(clip, smooth, interpolator=interpolator)
    return {**report.seconds, "frames_per_second": report.frames_out / report.seconds["total"]}


def _median_seconds(
    plain: Callable[[], object], ours: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, float]:
    """The median time of each task. Tasks take turns, so that other load on the machine affects all of them alike.

    `plain` runs with glibc's default thresholds, as in any script; `ours` with kept memory (`allocator.py`). Since
    `plain` returns memory to the system, each of `ours` runs once untimed after it.
    """
    times: dict[str, list[float]] = {name: [] for name in ("plain", *ours)}

    def timed(task: Callable[[], object]) -> float:
        _wait(device)
        began = time.perf_counter()
        task()
        _wait(device)
        return time.perf_counter() - began

    with torch.inference_mode():
        for turn in range(repeats + 1):
            with freeing():
                times["plain"].append(timed(plain))
            for task in ours.values():
                task()
            for name, task in ours.items():
                times[name].append(timed(task))
            if turn == 0:  # the first turn is for warming up
                times = {name: [] for name in times}
    return {name: median(each) for name, each in times.items()}


def _pictures(width: int, height: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two soft pictures, the second shifted."""
    random = torch.Generator().manual_seed(1)
    small = torch.rand(1, 3, height // 16 + 2, width // 16 + 2, generator=random)
    sheet = F.interpolate(small, scale_factor=16, mode="bicubic").clamp(0, 1).to(device)
    return sheet[..., :height, :width].contiguous(), sheet[..., 4 : height + 4, 6 : width + 6].contiguous()


def _minterpolate(img0: Tensor, img1: Tensor) -> float | None:
    """Seconds per new frame of ffmpeg's minterpolate, without the start of the program; None where it cannot run."""
    if not (ffmpeg := shutil.which("ffmpeg")):
        return None
    height, width = img0.shape[-2:]
    if min(height, width) < 32:  # it refuses them
        return None
    frames = [rearrange((x[0] * 255).byte(), "c h w -> h w c").cpu().numpy().tobytes() for x in (img0, img1)]
    command = [
        ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "1", "-i", "-",
        "-vf", "format=yuv420p,minterpolate=fps=2", "-f", "null", "-",
    ]  # fmt: skip
    times = {}
    for count in (8, 40):
        began = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
            assert running.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                for n in range(count):
                    running.stdin.write(frames[n % 2])
                running.stdin.close()
        if running.returncode:
            return None
        times[count] = time.perf_counter() - began
    return max((times[40] - times[8]) / 32, 0.0)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
