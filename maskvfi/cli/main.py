"""The command line: a command reads its options, calls one function and prints what it returns."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

import maskvfi
from maskvfi.cli.console import batch_progress, console, progress_bar, say, usage_line
from maskvfi.cli.options import with_options
from maskvfi.cli.weights import Overwrite, weights
from maskvfi.errors import reason, short_of_memory
from maskvfi.options import FrameOptions, MaskVideoOptions, Options, ProtectOptions
from maskvfi.paths import check_target

if TYPE_CHECKING:
    from maskvfi.batch import Row

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(weights, name="weights")


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"maskvfi {maskvfi.__version__}")
        raise typer.Exit


@app.callback()
def begin(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Say which version this is, and end."
        ),
    ] = False,
) -> None:
    """Raise a video's frame rate with RIFE and leave still things alone."""


Resume = Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped, if one did.")]
ReportFile = Annotated[Path | None, typer.Option(help="Write what was done as JSON.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]


@app.command()
@with_options(Options)
def interpolate(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A video, a folder of images, or - (yuv4mpegpipe).")
    ],
    options: Options,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="By default beside IN: in_2x.mp4, in_slow4x.mp4.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    report: ReportFile = None,
) -> None:
    """Raise the frame rate of a video.

    Exit code 3: the input could not be read to its end, and the output holds what could be read.
    """
    with progress_bar("interpolating") as progress:
        done = maskvfi.interpolate(
            source,
            target,
            options=options,
            overwrite=overwrite,
            resume=resume,
            report=report,
            progress=progress,
        )
    _say_warnings(done.warnings)
    if done.resumed_at:
        say(f"resumed after {done.resumed_at} frames")
    say(f"{done.output}: {done.summary}")
    _end(done)


@app.command()
@with_options(ProtectOptions)
def protect(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="What the other program was given.")],
    interpolated: Annotated[
        str,
        typer.Argument(
            metavar="INTERPOLATED", help="What it made: a higher rate, 1, 2, 3 ... times the size."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="OUT")],
    options: ProtectOptions,
    overwrite: Overwrite = False,
    resume: Resume = False,
    report: ReportFile = None,
) -> None:
    """Put still pixels back into another program's version of a video.

    Exit code 3: INTERPOLATED could not be read to its end, and the output holds what could be read.
    """
    with progress_bar("protecting") as progress:
        done = maskvfi.protect(
            source,
            interpolated,
            target,
            options=options,
            overwrite=overwrite,
            resume=resume,
            report=report,
            progress=progress,
        )
    _say_warnings(done.warnings)
    if done.resumed_at:
        say(f"resumed after {done.resumed_at} frames")
    say(f"{done.output}: {done.frames_out} frames, {done.static_share:.0%} still, on {done.device}")
    _end(done)


@app.command()
@with_options(Options)
def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help='Videos, folders, patterns ("clips/*.mp4"), tables (.csv with the columns source and target); '
            "also s3://, gcs:// and whatever else fsspec reaches.",
        ),
    ],
    options: Options,
    out: Annotated[
        str, typer.Option(help="The folder for the results, or its address, such as s3://bucket/out.")
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="By default one for every GPU, else for every four cores.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The address of a Ray cluster (default: this machine alone).")
    ] = None,
    overwrite: Overwrite = False,
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
    with batch_progress() as progress:
        rows = batch(
            sources,
            out,
            workers=workers,
            address=address,
            overwrite=overwrite,
            result=result,
            progress=progress,
            options=options,
        )
    _say_rows(rows, time.perf_counter() - began)
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(1)
    if any(row.damage for row in rows):
        raise typer.Exit(3)


@app.command()
@with_options(MaskVideoOptions)
def mask(
    source: Annotated[str, typer.Argument(metavar="IN", help="A video or a folder of images.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="The video to write.")],
    options: MaskVideoOptions,
    overlay: Annotated[
        bool,
        typer.Option("--overlay", help="Show the video, still pixels tinted green and replaced ones orange."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the mask as a video: white stands still.

    Exit code 3: the input could not be read to its end, and the output holds what could be read.
    """
    with progress_bar("computing masks") as progress:
        done = maskvfi.mask_video(
            source, target, overlay=overlay, options=options, overwrite=overwrite, progress=progress
        )
    _say_warnings(done.warnings)
    say(f"{target}: {done.frames_out} frames")
    _end(done)


@app.command()
@with_options(Options)
def compare(
    source: Annotated[str, typer.Argument(metavar="IN")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="A video, or a .png of one new frame.")],
    options: Options,
    at: Annotated[
        float | None, typer.Option(help="Seconds, for a picture; default: where both differ most.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Plain interpolation above, the masked result below.

    Exit code 3: the input could not be read to its end, and the output holds what could be read.
    """
    with progress_bar("comparing") as progress:
        done = maskvfi.compare(source, target, at=at, options=options, overwrite=overwrite, progress=progress)
    _say_warnings(done.warnings)
    say(target)
    _end(done)


@app.command()
@with_options(FrameOptions)
def pair(
    first: Annotated[Path, typer.Argument(metavar="A")],
    second: Annotated[Path, typer.Argument(metavar="B")],
    target: Annotated[Path, typer.Argument(metavar="OUT")],
    options: FrameOptions,
    at: Annotated[
        list[float] | None,
        typer.Option(
            help="A time between 0 and 1 (default 0.5). Names of several get the time: OUT_0.25.png."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """The frame between two pictures."""
    warnings: list[str] = []
    paths = maskvfi.pair(
        first, second, target, at=at or (0.5,), options=options, overwrite=overwrite, warnings=warnings
    )
    _say_warnings(warnings)
    for path in paths:
        say(str(path))


@app.command()
def export(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Weights: a name or a path.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.onnx")],
    layout: Annotated[
        str,
        typer.Option(help='"pair": a mask takes two inputs; "stacked": one of six channels, for vs-mlrt.'),
    ] = "pair",
    overwrite: Overwrite = False,
) -> None:
    """Write a network as ONNX, for frames of any size."""
    inputs = maskvfi.export(name, target, layout=layout, overwrite=overwrite)
    say(f"{target}: takes {', '.join(inputs)}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the clip and the result go.")] = Path("demo"),
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Render a short clip, interpolate it, and put the difference in a picture."""
    from maskvfi.tools.demo import run_demo

    with progress_bar("rendering and interpolating") as progress:
        paths = run_demo(folder, device=device, progress=progress, overwrite=overwrite)
    for path in paths:
        say(str(path))


@app.command()
def ui(
    host: Annotated[
        str, typer.Option(help="The address to listen at; by default only this machine's own.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
) -> None:
    """A page in the browser: see and paint the mask, interpolate, download."""
    from maskvfi.app import serve

    gc.set_threshold(700, 10, 10)  # Python's default: the page runs for long, so garbage must be collected
    serve(host, port, lambda address: say(f"maskvfi: {address} (Ctrl+C ends it)"))


@app.command()
def doctor() -> None:
    """What this machine offers, and what would be used of it."""
    from rich.text import Text

    from maskvfi.tools.doctor import diagnose

    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for what, found in diagnose():
        table.add_row(what, Text(found))
    Console().print(table)


@app.command()
@with_options(FrameOptions)
def bench(
    options: FrameOptions,
    size: Annotated[
        list[str] | None, typer.Option(help="WIDTHxHEIGHT, again for more; 360p to 4K unless given.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times each part is timed; the median counts.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there, too.")] = None,
) -> None:
    """How fast this machine is, beside the plain network and ffmpeg's minterpolate.

    --vfi also takes a RIFE version whose weights are not at hand: speed depends on a network's shape alone.
    """
    from maskvfi.tools.bench import SIZES, bench_tables, parse_size, run_bench, write_report

    if json_file is not None:
        check_target(json_file, overwrite=False)
    sizes = [parse_size(text) for text in size] if size else SIZES
    with console.status("measuring") as status:
        found = run_bench(options, sizes, repeats, lambda what: status.update(f"measuring {what}"))
    Console().print(*bench_tables(found), highlight=False)
    if json_file is not None:
        write_report(found, json_file)


def main() -> None:
    """Run the command line. Errors that a user can fix end in one line and exit code 2."""
    # Importing torch makes a million objects. Looking for garbage among them takes half a second in all.
    gc.set_threshold(1_000_000, 50, 50)
    atexit.register(gc.freeze)
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:  # Ctrl-C, before anything was begun
        sys.exit(130)
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say("maskvfi: " + " ".join(str(error).split()))
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not short_of_memory(error):
            raise
        say("maskvfi: this machine has too little memory for that; " + reason(error))
        sys.exit(2)
    except Exception as error:
        if (line := usage_line(error, "maskvfi")) is None:
            raise
        say(line)
        sys.exit(2)


def _say_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def _end(done: maskvfi.Report) -> None:
    """Exit with 3 if the input could not be read to its end."""
    if done.damage:
        say(f"maskvfi: {done.damage}; the output ends there")
        raise typer.Exit(3)


def _say_rows(rows: list[Row], seconds: float) -> None:
    """Print what happened to the videos of a batch."""
    for row in rows:
        if row.status == "exists":
            say(f"{row.target}: exists already: left alone")
        if row.status == "failed":
            named = row.error.startswith((row.source, os.path.abspath(row.source), row.target))
            say(f"failed: {row.error}" if named else f"failed: {row.source}: {row.error}")
        if row.warnings:
            say(f"warning: {row.target}: {row.warnings}")
        if row.damage:
            say(f"{row.target}: ends where {row.damage}")
    done = [row for row in rows if row.status == "done"]
    frames = sum(row.frames_out for row in done)
    say(f"{len(done)} of {len(rows)} videos made, {frames} frames in {seconds:.0f} s")
