"""python -m distill: data, training and evaluation; every command only calls the modules beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Train and measure maskvfi's networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
evaluation = typer.Typer(help="Measure weights.", no_args_is_help=True)
app.add_typer(evaluation, name="evaluate")
console = Console(stderr=True)

Data = Annotated[Path, typer.Option(help="The folder of shards that `prepare` made.")]
Run = Annotated[Path, typer.Option(help="Where state, log and weights go; a run there is continued.")]
Start = Annotated[Path | None, typer.Option(help="Weights to start from.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")]
Clips = Annotated[Path, typer.Option(help="A folder of videos.")]


@app.command()
def prepare(
    clips: Clips,
    pictures: Annotated[Path, typer.Option(help="A folder of still pictures, textures of synthetic motion.")],
    out: Annotated[Path, typer.Option(help="Where the shards go.")],
    tuples: Annotated[int, typer.Option(help="Frame tuples to cut.")] = 5000,
    length: Annotated[int, typer.Option(help="Frames in a tuple.")] = 5,
    size: Annotated[int, typer.Option(help="Side of a tuple in px.")] = 256,
) -> None:
    """Cut videos and pictures into shards."""
    from distill import clips as source

    count = source.prepare_textures(pictures, out)
    found = source.prepare(clips, out, tuples, length, size)
    console.print(f"{out}: {found} tuples, {count} textures")


@app.command()
def label(
    data: Data,
    teacher: Annotated[str, typer.Option(help="dis, rife:PATH, raft_large, ptlflow:NAME[:CKPT] ...")] = "dis",
    device: Device = "cpu",
) -> None:
    """Let a flow teacher say what stands still in the tuples; stored once, used by `train`."""
    from distill.labels import label_tuples
    from distill.teachers import load_teacher

    gaps = label_tuples(data, load_teacher(teacher, device))
    console.print(f"{data}: {gaps} gaps labelled by {teacher}")


@app.command()
def train(
    data: Data,
    run: Run,
    steps: int = 8500,
    batch: int = 4,
    rate: float = 1.5e-3,
    seed: int = 0,
    start: Start = None,
    device: Device = "cpu",
) -> None:
    """Train the static mask network."""
    from distill.train import train as run_training

    run_training(data, run, steps=steps, batch=batch, rate=rate, seed=seed, start=start, device=device)


@app.command("train-vfi")
def train_vfi(
    data: Data,
    run: Run,
    variant: Annotated[str, typer.Option(help='"vfi-s" or a RIFE 4.x family.')] = "vfi-s",
    steps: int = 4200,
    batch: int = 8,
    size: Annotated[int, typer.Option(help="Side of a crop in px.")] = 128,
    rate: float = 1.2e-3,
    speed: Annotated[float, typer.Option(help="Fastest synthetic motion, px per gap.")] = 16.0,
    flow_weight: float = 0.2,
    seed: int = 0,
    start: Start = None,
    device: Device = "cpu",
) -> None:
    """Train an interpolation network."""
    from distill.train_vfi import train_vfi as run_training

    run_training(
        data,
        run,
        variant=variant,
        steps=steps,
        batch=batch,
        size=size,
        rate=rate,
        speed=speed,
        flow_weight=flow_weight,
        seed=seed,
        start=start,
        device=device,
    )


@evaluation.command()
def quality(
    clips: Clips,
    vfi: Annotated[str, typer.Option(help="Interpolation weights: a name or a path.")] = "vfi-s",
    triplets: Annotated[int, typer.Option(help="Triplets per clip.")] = 12,
) -> None:
    """PSNR of the middle frame of real triplets, beside frame blending and DIS warping."""
    from distill.evaluate.quality import measure_quality, quality_table

    Console().print(quality_table(measure_quality(clips, vfi, triplets)))


@evaluation.command()
def static(
    clips: Clips,
    mask: Annotated[str, typer.Option(help="Mask weights: a name or a path.")] = "static-s",
    cases: Annotated[int, typer.Option(help="Composites per kind and clip.")] = 3,
) -> None:
    """F1 of the rarer class on composites with exact truth, beside the absolute difference."""
    from distill.evaluate.staticbench import measure_static, static_table

    Console().print(static_table(measure_static(clips, mask, cases)))


@evaluation.command()
def speed(
    weights: Annotated[list[str] | None, typer.Argument(help="Names or paths.")] = None,
    width: int = 1920,
    height: int = 1080,
) -> None:
    """Parameters, operations and seconds of networks on the CPU."""
    from distill.evaluate.speed import cost_table, measure_cost

    Console().print(cost_table(measure_cost(weights or ["vfi-s", "static-s"], width, height), width, height))


def main() -> None:
    """Run the command line; bad input ends in one line and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        console.print("distill: " + " ".join(str(error).split()), markup=False, soft_wrap=True)
        sys.exit(2)
