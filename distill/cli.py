"""python -m distill: data, training and evaluation. The commands only call the other modules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from distill.options import (
    CASES,
    COST_SIZE,
    DMAP_CASES,
    PLACES,
    SETS,
    TEACHER,
    TEACHER_DEVICE,
    TEACHER_SCALE,
    TIMES,
    JointTraining,
    MaskTraining,
    QualityOptions,
    Recipe,
    StillBenchOptions,
    VfiTraining,
)
from maskvfi.cli.console import usage_line
from maskvfi.cli.options import with_options
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, OFF
from maskvfi.paths import check_target

app = typer.Typer(
    help="Train and measure maskvfi's networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
evaluation = typer.Typer(help="Measure weights.", no_args_is_help=True)
app.add_typer(evaluation, name="evaluate")
console = Console(stderr=True, markup=False)
paper = Console(width=None if sys.stdout.isatty() else 200)  # a table in a file is not squeezed

Data = Annotated[Path, typer.Option(help="The folder of shards that `prepare` made.")]
Run = Annotated[Path, typer.Option(help="Where state, log and weights go; a run there is continued.")]
Clips = Annotated[Path, typer.Option(help="A folder of videos.")]
Masks = Annotated[
    list[str] | None,
    typer.Option(help=f"Mask weights: a name, a path or published:PATH; {DEFAULT_MASK} unless given."),
]
Teachers = Annotated[
    list[str] | None, typer.Option(help="Flow teachers beside DIS: rife:PATH, raft_large ...")
]
Ray = Annotated[bool, typer.Option("--ray", help="On Ray: every worker makes shards of its own.")]
Address = Annotated[str | None, typer.Option(help="Of a Ray cluster; without, Ray runs here.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")]
Cases = Annotated[int, typer.Option(min=1, help="Composites per clip (and kind).")]


@app.command()
@with_options(Recipe)
def prepare(
    clips: Annotated[Path, typer.Option(help="A folder of videos, or Vimeo-90K, X4K1000FPS or ATD-12K.")],
    pictures: Annotated[Path, typer.Option(help="A folder of still pictures, textures of synthetic motion.")],
    out: Annotated[Path, typer.Option(help="Where the shards go.")],
    options: Recipe,
    ray: Ray = False,
    address: Address = None,
) -> None:
    """Cut videos (or a data set's frames) and pictures into shards."""
    from distill.data import prepare as cutting

    cutting.find_pictures(pictures)  # a wrong folder is better known before the clips are cut
    if ray or address:
        from distill.data.ray_shards import prepare_on_ray

        found = prepare_on_ray(clips, out, options, address)
    else:
        found = cutting.prepare(clips, out, options)
    count = cutting.prepare_textures(pictures, out)
    console.print(f"{out}: {found} tuples, {count} textures", soft_wrap=True)


@app.command()
def label(
    data: Data,
    teacher: Annotated[
        str, typer.Option(help="dis, rife:PATH, raft_large, ptlflow:NAME[:CKPT] ...")
    ] = TEACHER,
    published: Annotated[
        bool, typer.Option("--published", help="Label by StaticMaskNet's own rule.")
    ] = False,
    scale: Annotated[
        float, typer.Option(min=0.05, max=4, help="Size at which the teacher sees the frames.")
    ] = TEACHER_SCALE,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = TEACHER_DEVICE,
    ray: Ray = False,
    address: Address = None,
) -> None:
    """Let a flow teacher say what stands still in the tuples; stored once, used by `train`."""
    from distill.data.labels import PUBLISHED, TRAINING, label_tuples
    from distill.data.teachers import load_teacher

    rule = PUBLISHED if published else TRAINING
    if ray or address:
        from distill.data.ray_shards import label_on_ray

        gaps = label_on_ray(data, teacher, rule, scale, device, address)
    else:
        gaps = label_tuples(data, load_teacher(teacher, device), rule, scale)
    console.print(f"{data}: {gaps} gaps labelled by {teacher}", soft_wrap=True)


@app.command("mine")
def mine_hard(
    data: Data,
    mask: Annotated[str, typer.Option(help="Mask weights: a name or a path.")] = DEFAULT_MASK,
    teacher: Annotated[str, typer.Option(help="As `label` takes it.")] = f"dis+rife:{DEFAULT_VFI}",
    every: Annotated[int, typer.Option(help="Look at one tuple of this many.", min=1)] = 1,
) -> None:
    """Find the tuples that a mask gets wrong: `train` sees them more often."""
    from distill.data.mining import mine
    from distill.data.teachers import load_teacher

    found = mine(data, mask, load_teacher(teacher), every)
    console.print(f"{data}: {found} tuples in which {mask} calls moving pixels still", soft_wrap=True)


@app.command()
@with_options(MaskTraining)
def train(data: Data, run: Run, options: MaskTraining) -> None:
    """Train the static mask network (on several GPUs: accelerate launch --multi_gpu -m distill train ...)."""
    from distill.training.mask import train as run_training

    run_training(data, run, options)


@app.command()
def average(
    weights: Annotated[list[str], typer.Argument(help="Weights of one shape, by name or path.")],
    out: Annotated[Path, typer.Option(help="Where their mean goes.")],
    half: Annotated[bool, typer.Option("--half", help="Store in half precision.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the mean of several weights, often better than each of them."""
    check_target(out, overwrite)
    from distill.training.average import average as write_average

    write_average(weights, out, half, overwrite)


@app.command()
def balance(
    weights: Annotated[str, typer.Argument(help="A mask with both answers, by name or path.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the new weights go.")],
    samples: Annotated[int, typer.Option(min=1, help="Samples in which something is replaced.")] = 150,
    overwrite: Overwrite = False,
) -> None:
    """Shift a mask's second answer, what was replaced, so that its F1 is best at 0.5."""
    check_target(out, overwrite)
    from distill.training.balance import balance as write_balanced

    shift = write_balanced(weights, data, out, samples, overwrite)
    typer.echo(f"{out}: {shift:+.2f} to the logits of what was replaced")


@app.command("train-vfi")
@with_options(VfiTraining)
def train_vfi(data: Data, run: Run, options: VfiTraining) -> None:
    """Train an interpolation network."""
    from distill.training.vfi import train_vfi as run_training

    run_training(data, run, options)


@app.command()
@with_options(JointTraining)
def joint(data: Data, run: Run, options: JointTraining) -> None:
    """Refine a mask and an interpolation network together, through the frames that they compose."""
    from distill.training.joint import joint as run_training

    run_training(data, run, options)


@evaluation.command()
@with_options(QualityOptions)
def quality(
    options: QualityOptions,
    path: Annotated[Path | None, typer.Argument(help="The folder of the test set.")] = None,
    name: Annotated[str | None, typer.Option("--set", help=f"A test set: {', '.join(SETS)}.")] = None,
    clips: Annotated[Path | None, typer.Option(help="A folder of videos, in place of a test set.")] = None,
) -> None:
    """Measure made frames, on videos or a test set, beside blending, DIS and ffmpeg's minterpolate."""
    from distill.evaluate.quality import measure_quality, measure_set
    from distill.evaluate.qualitytables import quality_tables, set_tables

    mask = None if options.mask == OFF else options.mask
    if name and path and not clips:
        measured = measure_set(name, path, options.vfi, mask, options.runs, options.times, options.chosen())
        tables = set_tables(measured, name)
    elif clips and not (name or path):
        runs, times = options.runs or PLACES, options.times or TIMES
        measured = measure_quality(clips, options.vfi, mask, runs, times, wanted=options.chosen())
        tables = quality_tables(measured)
    else:
        raise ValueError("give --clips FOLDER, or --set NAME and the folder of the set")
    paper.print(*tables)
    for missing in measured.missing:
        console.print(f"not measured: {missing}")


@evaluation.command()
def static(clips: Clips, mask: Masks = None, cases: Cases = CASES) -> None:
    """StaticBench: F1 of the rarer class on composites with exact truth, and calibration, beside baselines."""
    from distill.evaluate.staticbench import (
        calibration_table,
        failures_table,
        measure_static,
        static_table,
    )

    bench = measure_static(clips, _masks(mask), cases)
    paper.print(static_table(bench), calibration_table(bench), failures_table(bench))


@app.command()
def dmap(clips: Clips, teacher: Teachers = None, mask: Masks = None, cases: Cases = DMAP_CASES) -> None:
    """The D-map benchmark: which flows and masks see that overlays stand."""
    from distill.evaluate.dmap import dmap_table, measure_dmap

    paper.print(dmap_table(measure_dmap(clips, _teachers(teacher), _masks(mask), cases)))


@app.command("bench-still")
@with_options(StillBenchOptions)
def bench_still(
    clips: Clips,
    options: StillBenchOptions,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help='Any program: "NAME=COMMAND {in} {out}"; see docs/benchmark.md. May be given again.'
        ),
    ] = None,
    other_mask: Annotated[
        list[str] | None, typer.Option(help="More mask weights over the same network. May be given again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="An HTML page to write, with pictures.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that exists.")] = False,
) -> None:
    """The still-things benchmark: what stays as it was, what bends around it, and what it costs elsewhere."""
    from distill.evaluate.stillbench import measure_still, still_tables
    from distill.evaluate.stillmethods import all_makers
    from distill.evaluate.stillpage import write_page

    target = None if out is None else check_target(out, overwrite)
    makers, missing = all_makers(options.vfi, options.mask, other_mask or [], method or [])
    bench = measure_still(clips, makers, options.cases, options.seed, missing)
    paper.print(*still_tables(bench))
    for name in bench.missing:
        console.print(f"not measured: {name}")
    if target is not None:
        write_page(bench, clips.resolve().name, target, overwrite)
        console.print(f"{out}: written", soft_wrap=True)


@app.command()
def report(
    clips: Clips,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    mask: Masks = None,
    teacher: Teachers = None,
    run: Annotated[Path | None, typer.Option(help="A training run whose log.jsonl is shown.")] = None,
    cases: Cases = CASES,
    overwrite: Overwrite = False,
) -> None:
    """Everything that is measured of masks, as one self-contained HTML page."""
    from distill.evaluate.report import write_report

    write_report(clips, out, _masks(mask), _teachers(teacher), cases=cases, run=run, overwrite=overwrite)
    console.print(f"{out}: written", soft_wrap=True)


@evaluation.command()
def speed(
    weights: Annotated[list[str] | None, typer.Argument(help="Names or paths.")] = None,
    width: int = COST_SIZE[0],
    height: int = COST_SIZE[1],
) -> None:
    """Parameters, operations of convolutions, and seconds of networks on the CPU."""
    from distill.evaluate.speed import cost_table, measure_cost
    from distill.training.published import PublishedUNet
    from maskvfi.allocator import keep_freed_memory
    from maskvfi.weights.load import load_any

    keep_freed_memory()  # as the command maskvfi does
    networks = {name: load_any(name) for name in weights or [DEFAULT_VFI, DEFAULT_MASK]}
    costs = measure_cost(networks | {"published UNet": PublishedUNet().eval()}, width, height)
    paper.print(cost_table(costs, width, height))


def main() -> None:
    """Run the command line; bad input ends in one line and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.Abort:
        sys.exit(130)
    except (ValueError, OSError) as error:
        line = "distill: " + " ".join(str(error).split())
    except Exception as error:
        if (wrong := usage_line(error, "distill")) is None:
            raise
        line = wrong
    console.print(line, soft_wrap=True)
    sys.exit(2)


def _masks(given: list[str] | None) -> list[str]:
    return given or [DEFAULT_MASK]


def _teachers(given: list[str] | None) -> list[str]:
    return [TEACHER, *(given or [])]
