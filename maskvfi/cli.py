"""The command line; every command only calls the public API."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

import maskvfi
from maskvfi import hub
from maskvfi.allocator import keep_freed_memory
from maskvfi.fuse import FEATHER
from maskvfi.interpolate import Progress as OnProgress

if TYPE_CHECKING:
    from maskvfi.batch import Summary

app = typer.Typer(
    help="Raise a video's frame rate with RIFE and leave still things alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
weights = typer.Typer(help="The weights that names lead to.", no_args_is_help=True)
app.add_typer(weights, name="weights")
console = Console(stderr=True)

Vfi = Annotated[str, typer.Option(help="Interpolation weights: a name or a path.")]
Mask = Annotated[str, typer.Option(help='Mask weights: a name, a path, or "off" for plain RIFE.')]
Factor = Annotated[int | None, typer.Option(help="k-1 new frames in every gap (default 2).")]
Fps = Annotated[str | None, typer.Option(help="An even grid instead: 60, 59.94, 60000/1001.")]
Slow = Annotated[str | None, typer.Option(help="Stretch time by this factor at the same frame rate.")]
Loop = Annotated[bool, typer.Option("--loop", help="Close the clip from last frame to first.")]
Protect = Annotated[Path | None, typer.Option(help="A picture: white is always copied.")]
Release = Annotated[Path | None, typer.Option(help="A picture: white is always warped.")]
Threshold = Annotated[float, typer.Option(help="Probability from which a pixel counts as still.")]
Feather = Annotated[float, typer.Option(help="How far around it copied and warped are mixed.")]
Static = Annotated[str, typer.Option(help='Still pixels "fade" or copy the "nearest" frame.')]
SceneCut = Annotated[str, typer.Option(help='"auto", "off", or a threshold (27 is usual).')]
OnCut = Annotated[str, typer.Option(help='At a cut "hold" the earlier frame or "blend".')]
Duplicates = Annotated[str, typer.Option(help='"keep", or "resolve" repeated frames into motion.')]
Scale = Annotated[float, typer.Option(help="Below 1: coarser motion analysis, for 4K and large motion.")]
Tile = Annotated[str, typer.Option(help="auto (by memory), off, or the side in px of a tile.")]
Ensemble = Annotated[bool, typer.Option("--ensemble", help="Average with time reversed (RIFE up to 4.20).")]
Start = Annotated[float | None, typer.Option(help="Seconds from the first frame.")]
End = Annotated[float | None, typer.Option(help="Seconds from the first frame, exclusive.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, fp16 or bf16.")]
Runtime = Annotated[str, typer.Option(help="auto, torch, compile, openvino or onnx.")]
Hwaccel = Annotated[
    str | None, typer.Option(help="Decode on a device, if it can: cuda, qsv, vaapi, videotoolbox ...")
]
Codec = Annotated[
    str | None, typer.Option(help="FFmpeg's name of the encoder: libx264 (default), hevc_nvenc ...")
]
Crf = Annotated[float | None, typer.Option(help="Quality of libx264, libx265, nvenc and qsv (default 18).")]
Preset = Annotated[str | None, typer.Option(help="Speed preset of the encoder.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse an input that cannot be read to its end.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]


@app.command()
def interpolate(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A video, a folder of images, or - (yuv4mpegpipe).")
    ],
    target: Annotated[str | None, typer.Argument(metavar="[OUT]", help="By default beside IN.")] = None,
    factor: Factor = None,
    fps: Fps = None,
    slow: Slow = None,
    loop: Loop = False,
    vfi: Vfi = hub.DEFAULT_VFI,
    mask: Mask = hub.DEFAULT_STATIC,
    protect: Protect = None,
    release: Release = None,
    threshold: Threshold = 0.5,
    feather: Feather = FEATHER,
    static: Static = "fade",
    scene_cut: SceneCut = "auto",
    on_cut: OnCut = "hold",
    duplicates: Duplicates = "keep",
    scale: Scale = 1.0,
    tile: Tile = "auto",
    ensemble: Ensemble = False,
    start: Start = None,
    end: End = None,
    rate: Annotated[str | None, typer.Option(help="Frame rate of an image folder (default 24).")] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "auto",
    hwaccel: Hwaccel = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    overwrite: Overwrite = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run stopped, if one did.")
    ] = False,
    strict: Strict = False,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
) -> None:
    """Raise the frame rate of a video.

    Exit code 3: the input could not be read to its end, and the output holds what could be read.
    """
    with _progress("interpolating") as progress:
        done = maskvfi.interpolate(
            source,
            target,
            factor=factor,
            fps=fps,
            slow=slow,
            loop=loop,
            vfi=vfi,
            mask=None if mask == "off" else mask,
            protect=protect,
            release=release,
            threshold=threshold,
            feather=feather,
            tile=tile,
            static=static,
            scene_cut=scene_cut,
            on_cut=on_cut,
            duplicates=duplicates,
            scale=scale,
            ensemble=ensemble,
            start=start,
            end=end,
            rate=rate,
            device=device,
            precision=precision,
            runtime=runtime,
            hwaccel=hwaccel,
            codec=codec,
            crf=crf,
            options={} if preset is None else {"preset": preset},
            overwrite=overwrite,
            resume=resume,
            strict=strict,
            report=report,
            progress=progress,
        )
    for warning in done.warnings:
        _say(f"warning: {warning}")
    if done.resumed_at:
        _say(f"resumed after {done.resumed_at} frames")
    speed = (done.frames_out - done.resumed_at) / max(done.seconds["total"], 1e-9)
    _say(
        f"{done.output}: {done.frames_in} frames became {done.frames_out}, {done.cuts} cuts, "
        f"{done.static_share:.0%} still, {speed:.1f} fps on {done.device}"
    )
    if done.damage:
        _say(f"maskvfi: {done.damage}; the output ends there")
        raise typer.Exit(3)


@app.command()
def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help='Videos, folders, patterns ("clips/*.mp4"), tables (.csv with the columns source and target); '
            "also s3://, gcs:// and whatever else fsspec reaches.",
        ),
    ],
    out: Annotated[str, typer.Option(help="The folder for the results, also elsewhere.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="By default one for every GPU, else for every four cores.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster to join (default: this machine alone).")
    ] = None,
    factor: Factor = None,
    fps: Fps = None,
    slow: Slow = None,
    loop: Loop = False,
    vfi: Vfi = hub.DEFAULT_VFI,
    mask: Mask = hub.DEFAULT_STATIC,
    protect: Protect = None,
    release: Release = None,
    threshold: Threshold = 0.5,
    feather: Feather = FEATHER,
    static: Static = "fade",
    scene_cut: SceneCut = "auto",
    on_cut: OnCut = "hold",
    duplicates: Duplicates = "keep",
    scale: Scale = 1.0,
    tile: Tile = "auto",
    ensemble: Ensemble = False,
    start: Start = None,
    end: End = None,
    device: Device = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "auto",
    hwaccel: Hwaccel = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    result: Annotated[
        Path | None, typer.Option(help="A table of what became of each video: .csv or .parquet.")
    ] = None,
) -> None:
    """Raise the frame rate of many videos, with many workers (needs the extra "ray").

    What is finished stays: the same command again makes only the rest. Exit code 1: a video could not be made; 3: all
    were, but one could not be read to its end.
    """
    from maskvfi.batch import batch

    began = time.perf_counter()
    with _live() as progress:
        rows = batch(
            sources,
            out,
            workers=workers,
            address=address,
            overwrite=overwrite,
            result=result,
            progress=progress,
            factor=factor,
            fps=fps,
            slow=slow,
            loop=loop,
            vfi=vfi,
            mask=None if mask == "off" else mask,
            protect=protect,
            release=release,
            threshold=threshold,
            feather=feather,
            tile=tile,
            static=static,
            scene_cut=scene_cut,
            on_cut=on_cut,
            duplicates=duplicates,
            scale=scale,
            ensemble=ensemble,
            start=start,
            end=end,
            device=device,
            precision=precision,
            runtime=runtime,
            hwaccel=hwaccel,
            codec=codec,
            crf=crf,
            options={} if preset is None else {"preset": preset},
            strict=strict,
        )
    seconds, made = time.perf_counter() - began, [row for row in rows if row.status == "done"]
    for row in rows:
        if row.status == "exists":
            _say(f"{row.target}: is there already")
        if row.status == "failed":
            _say(f"failed: {row.error}")
        if row.warnings:
            _say(f"warning: {row.target}: {row.warnings}")
        if row.damage:
            _say(f"{row.target}: ends where {row.damage}")
    frames = sum(row.frames_out for row in made)
    _say(f"{len(made)} of {len(rows)} videos made, {frames} frames in {seconds:.0f} s")
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(1)
    if any(row.damage for row in rows):
        raise typer.Exit(3)


@app.command()
def mask(
    source: Annotated[str, typer.Argument(metavar="IN")],
    target: Annotated[str, typer.Argument(metavar="OUT")],
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Tint what stands still over the video.")
    ] = False,
    mask: Mask = hub.DEFAULT_STATIC,
    threshold: Threshold = 0.5,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Show what stands still, as a video."""
    with _progress("looking") as progress:
        count = maskvfi.mask_video(
            source, target, overlay=overlay, mask=mask, threshold=threshold, device=device, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    _say(f"{target}: {count} frames")


@app.command()
def compare(
    source: Annotated[str, typer.Argument(metavar="IN")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="A video, or a .png of one new frame.")],
    factor: Annotated[int, typer.Option(help="k-1 new frames in every gap.")] = 2,
    at: Annotated[
        float | None, typer.Option(help="Seconds, for a picture; default: where both differ most.")
    ] = None,
    vfi: Vfi = hub.DEFAULT_VFI,
    mask: Mask = hub.DEFAULT_STATIC,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Plain RIFE above, the masked result below."""
    with _progress("comparing") as progress:
        maskvfi.compare(
            source, target, factor=factor, at=at, vfi=vfi, mask=mask, device=device, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    _say(target)


@app.command()
def pair(
    first: Annotated[Path, typer.Argument(metavar="A")],
    second: Annotated[Path, typer.Argument(metavar="B")],
    target: Annotated[Path, typer.Argument(metavar="OUT")],
    at: Annotated[
        list[float] | None, typer.Option(help="A time between 0 and 1; may be given again.")
    ] = None,
    vfi: Vfi = hub.DEFAULT_VFI,
    mask: Mask = hub.DEFAULT_STATIC,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """The frame between two pictures."""
    interpolator = maskvfi.Interpolator(vfi, None if mask == "off" else mask, device)
    for path in maskvfi.pair(
        first, second, target, at=at or (0.5,), interpolator=interpolator, overwrite=overwrite
    ):
        _say(str(path))


@app.command()
def export(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Weights: a name or a path.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.onnx")],
    overwrite: Overwrite = False,
) -> None:
    """Write a network as ONNX, for frames of any size.

    One that starts from a calculated flow (vfi-s, dis) takes that as an input, too: OpenCV is no part of a graph.
    """
    _say(f"{target}: takes {', '.join(maskvfi.export(name, target, overwrite))}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the clip and the result go.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Render a short clip, interpolate it, and put the difference in a picture."""
    from maskvfi.demo import run_demo

    with _progress("rendering and interpolating") as progress:
        made = run_demo(folder, device=device, progress=progress)
    for path in made:
        _say(str(path))


@app.command()
def ui(
    host: Annotated[
        str, typer.Option(help="The address to listen at; by default only this machine's own.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
) -> None:
    """A page in the browser: see and paint the mask, interpolate, download."""
    from maskvfi.app import serve

    serve(host, port, lambda address: _say(f"maskvfi: {address} (Ctrl+C ends it)"))


@app.command()
def doctor() -> None:
    """What this machine offers, and what would be used of it."""
    from maskvfi.doctor import diagnose

    table = Table(box=None, show_header=False)
    for what, found in diagnose():
        table.add_row(what, found)
    Console().print(table)


@app.command()
def bench(
    vfi: Annotated[
        str, typer.Option(help="Interpolation weights, or a RIFE version whose shape is measured.")
    ] = hub.DEFAULT_VFI,
    mask: Annotated[str, typer.Option(help="Mask weights: a name or a path.")] = hub.DEFAULT_STATIC,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT, again for more; 360p to 4K unless given.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times each part is timed; the median counts.")] = 3,
    device: Device = "auto",
    precision: Precision = "auto",
    runtime: Runtime = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there, too.")] = None,
) -> None:
    """How fast this machine is, beside the plain network and ffmpeg's minterpolate."""
    from maskvfi.bench import SIZES, parse_size, run_bench

    sizes = [parse_size(text) for text in size] if size else SIZES
    if json_file is not None and json_file.exists():
        raise ValueError(f"{json_file}: exists")
    with console.status("measuring") as status:
        found = run_bench(
            vfi,
            mask,
            device,
            precision,
            runtime,
            sizes,
            repeats,
            lambda what: status.update(f"measuring {what}"),
        )
    out = Console()
    out.print(
        f"{found.vfi} on {found.device}, {found.runtime}, {found.precision}, {found.threads} threads",
        highlight=False,
    )
    table = Table(
        "size", "plain s", "ours s", "ratio", "mask s", "fuse s", "minterpolate s", title="One frame"
    )
    for cost in found.sizes:
        other = "" if cost.minterpolate is None else f"{cost.minterpolate:.3f}"
        seconds = (f"{x:.3f}" for x in (cost.mask, cost.fuse))
        ratio = f"{cost.plain / cost.network:.2f}"
        table.add_row(
            f"{cost.width}x{cost.height}", f"{cost.plain:.3f}", f"{cost.network:.3f}", ratio, *seconds, other
        )
    title = f"{found.still[0].width}x{found.still[0].height} with the mask"
    still = Table("still", "computed", "seconds", "ratio to plain", title=title)
    for point in found.still:
        still.add_row(
            f"{point.share:.0%}", f"{point.computed:.0%}", f"{point.seconds:.3f}", f"{point.ratio:.2f}"
        )
    whole = Table("stage", "seconds", title="A whole file, 640x360, 24 frames to 48")
    for stage, seconds_spent in found.file.items():
        whole.add_row(stage.replace("_", " "), f"{seconds_spent:.2f}")
    out.print(table, still, whole)
    if json_file is not None:
        json_file.write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")


@weights.command("list")
def list_weights() -> None:
    """Every name there is."""
    table = Table("name", "kind", "parameters", "path", box=None)
    for file in hub.list_weights():
        table.add_row(file.name, file.kind, f"{hub.count_parameters(file.path):,}", str(file.path))
    Console().print(table)


@weights.command("info")
def info(name: Annotated[str, typer.Argument(help="A name or a path.")]) -> None:
    """What a weights file is."""
    table = Table(box=None, show_header=False)
    for what, found in hub.describe(name):
        table.add_row(what, found)
    Console().print(table)


@weights.command("get")
def get(name: Annotated[str, typer.Argument(help="A RIFE version, such as rife-4.25.")]) -> None:
    """Download the published weights of a RIFE version, so that its name loads them."""
    from maskvfi.download import get_weights

    with _progress(f"downloading {name}", DownloadColumn(), TransferSpeedColumn()) as progress:
        fetched = get_weights(name, progress)
    _say(f"{fetched.path}: {fetched.news}")
    if fetched.url:
        _say(f"{fetched.sha256}  {fetched.url}")


@weights.command("convert")
def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A name, a .pkl, .pth, .zip or .safetensors, or an ncnn folder."),
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A .safetensors file.")],
    overwrite: Overwrite = False,
) -> None:
    """Write weights of any kind as one file that says what it is."""
    _say(f"{hub.convert_weights(source, target, overwrite=overwrite)}")


@weights.command("verify")
def verify(
    name: Annotated[str | None, typer.Argument(help="A name or a path; all names unless given.")] = None,
) -> None:
    """Compare weights with the hashes that are known of them."""
    from maskvfi.download import verify_weights

    for check in verify_weights(name):
        _say(f"{check.sha256}  {check.name}: {check.finding}")


def main() -> None:
    """Run the command line; what a user can cause ends in one line and exit code 2."""
    keep_freed_memory()
    try:
        app()
    except (maskvfi.MediaError, maskvfi.WeightsError, ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _say("maskvfi: " + " ".join(str(error).split()))
        sys.exit(2)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "")


@contextmanager
def _progress(what: str, *counts: ProgressColumn) -> Iterator[OnProgress]:
    """A bar; counts show how far it is, in frames unless given."""
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn()]
    columns += [*(counts or (MofNCompleteColumn(), _Speed())), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        try:
            yield lambda done, total: bar.update(task, completed=done, total=total)
        except KeyboardInterrupt as stop:
            bar.stop()
            _say(f"maskvfi: stopped; {str(stop) or 'nothing was written'}")
            raise typer.Exit(130) from None


@contextmanager
def _live() -> Iterator[Callable[[Summary], None]]:
    """A line on how far a batch is."""
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[parts]}"), _Speed()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting Ray", total=None, parts="")

        def show(at: Summary) -> None:
            words = [f"{sum(at.videos.values()) - at.videos['waiting']} of {sum(at.videos.values())} videos"]
            words += [f"{at.videos['failed']} failed"] if at.videos["failed"] else []
            words += [f"{len(at.workers)} workers"]
            words += [f"{at.lost} replaced"] if at.lost else []
            parts = f"{at.parts}/{at.parts_known} segments"
            bar.update(
                task,
                description=", ".join(words),
                completed=at.frames,
                total=at.frames_known or None,
                parts=parts,
            )

        try:
            yield show
        except KeyboardInterrupt as stop:
            bar.stop()
            _say(f"maskvfi: stopped; {str(stop) or 'nothing was written'}")
            raise typer.Exit(130) from None


def _say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
