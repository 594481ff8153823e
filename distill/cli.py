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
Cpu = Annotated[bool, typer.Option("--cpu", help="Train on the CPU though there is a GPU.")]
LogEvery = Annotated[int, typer.Option(help="Steps between two lines of the log.", min=1)]
Precision = Annotated[str, typer.Option(help="Of the forward pass: no (float32), bf16 or fp16.")]
Clips = Annotated[Path, typer.Option(help="A folder of videos.")]
Masks = Annotated[
    list[str] | None,
    typer.Option(help="Mask weights: a name, a path or published:PATH; static-s unless given."),
]
Teachers = Annotated[
    list[str] | None, typer.Option(help="Flow teachers beside DIS: rife:PATH, raft_large ...")
]
Ray = Annotated[bool, typer.Option("--ray", help="On Ray: every worker makes shards of its own.")]
Address = Annotated[str | None, typer.Option(help="Of a Ray cluster; without, Ray runs here.")]
Cases = Annotated[int, typer.Option(help="Composites per clip (and kind).")]


@app.command()
def prepare(
    clips: Annotated[Path, typer.Option(help="A folder of videos, or Vimeo-90K, X4K1000FPS or ATD-12K.")],
    pictures: Annotated[Path, typer.Option(help="A folder of still pictures, textures of synthetic motion.")],
    out: Annotated[Path, typer.Option(help="Where the shards go.")],
    tuples: Annotated[int, typer.Option(help="Frame tuples to cut.")] = 5000,
    length: Annotated[int, typer.Option(help="Frames in a tuple.")] = 5,
    size: Annotated[int, typer.Option(help="Side of a tuple in px.")] = 256,
    ray: Ray = False,
    address: Address = None,
) -> None:
    """Cut videos (or a data set's frames) and pictures into shards."""
    from distill import prepare as cutting

    recipe = cutting.Recipe(tuples, length, size)
    if ray or address:
        from distill.data.ray_shards import prepare_on_ray

        found = prepare_on_ray(clips, out, recipe, address)
    else:
        found = cutting.prepare(clips, out, recipe)
    count = cutting.prepare_textures(pictures, out)
    console.print(f"{out}: {found} tuples, {count} textures", soft_wrap=True)


@app.command()
def label(
    data: Data,
    teacher: Annotated[str, typer.Option(help="dis, rife:PATH, raft_large, ptlflow:NAME[:CKPT] ...")] = "dis",
    published: Annotated[
        bool, typer.Option("--published", help="Label by StaticMaskNet's own rule.")
    ] = False,
    scale: Annotated[float, typer.Option(help="Size at which the teacher sees the frames.")] = 1.0,
    device: Device = "cpu",
    ray: Ray = False,
    address: Address = None,
) -> None:
    """Let a flow teacher say what stands still in the tuples; stored once, used by `train`."""
    from distill.data.labels import PUBLISHED, Rule, label_tuples
    from distill.data.teachers import load_teacher

    rule = PUBLISHED if published else Rule()
    if ray or address:
        from distill.data.ray_shards import label_on_ray

        gaps = label_on_ray(data, teacher, rule, scale, device, address)
    else:
        gaps = label_tuples(data, load_teacher(teacher, device), rule, scale)
    console.print(f"{data}: {gaps} gaps labelled by {teacher}", soft_wrap=True)


@app.command()
def train(
    data: Data,
    run: Run,
    network: Annotated[str, typer.Option(help='"static-s", or "published", the baseline.')] = "static-s",
    steps: int = 8000,
    batch: int = 6,
    size: Annotated[int, typer.Option(help="Side of a crop in px.")] = 224,
    rate: float = 1.2e-3,
    seed: int = 0,
    start: Start = None,
    cpu: Cpu = False,
    precision: Precision = "no",
    log_every: LogEvery = 50,
) -> None:
    """Train the static mask network (on several GPUs: accelerate launch --multi_gpu -m distill train ...)."""
    from distill.training.mask import train as run_training

    run_training(
        data,
        run,
        network=network,
        steps=steps,
        batch=batch,
        size=size,
        rate=rate,
        seed=seed,
        start=start,
        cpu=cpu,
        precision=precision,
        log_every=log_every,
    )


@app.command()
def average(
    weights: Annotated[list[Path], typer.Argument(help="Mask weights of one network.")],
    out: Annotated[Path, typer.Option(help="Where their mean goes.")],
) -> None:
    """Write the mean of several runs' mask weights, often better than each of them."""
    from distill.training.average import average as write_average

    write_average(weights, out)


@app.command("train-vfi")
def train_vfi(
    data: Data,
    run: Run,
    variant: Annotated[str, typer.Option(help='"vfi-s" or a RIFE 4.x family.')] = "vfi-s",
    steps: int = 4200,
    batch: int = 8,
    size: Annotated[int, typer.Option(help="Side of a crop in px.")] = 128,
    rate: float = 1.2e-3,
    synthetic: Annotated[float, typer.Option(help="Share of samples whose motion is synthetic.")] = 0.5,
    overlays: Annotated[float, typer.Option(help="Share of samples with things that stand on top.")] = 0.25,
    speed: Annotated[float, typer.Option(help="Fastest synthetic motion, px per gap.")] = 16.0,
    noise: Annotated[float, typer.Option(help="Share of real samples that get more noise.")] = 0.0,
    laplacian: Annotated[float, typer.Option(help="Weight of the Laplacian pyramid.")] = 0.2,
    flow: Annotated[float, typer.Option(help="Weight of known flow, at the start.")] = 0.2,
    census: Annotated[float, typer.Option(help="Weight of the census transform.")] = 0.0,
    reversal: Annotated[float, typer.Option(help="Weight of agreement when time runs backwards.")] = 0.0,
    privileged: Annotated[float, typer.Option(help="Weight of a block that sees the truth.")] = 0.0,
    perceptual: Annotated[float, typer.Option(help="Weight of LPIPS (needs lpips).")] = 0.0,
    decibel: Annotated[float, typer.Option(help="Weight of the logarithm of the squared error.")] = 0.0,
    learn: Annotated[str, typer.Option(help="What learns: all, or doubt alone.")] = "all",
    seed: int = 0,
    start: Start = None,
    cpu: Cpu = False,
    precision: Precision = "no",
    log_every: LogEvery = 50,
) -> None:
    """Train an interpolation network."""
    from distill.training.vfi import Terms
    from distill.training.vfi import train_vfi as run_training

    run_training(
        data,
        run,
        variant=variant,
        steps=steps,
        batch=batch,
        size=size,
        rate=rate,
        synthetic=synthetic,
        overlays=overlays,
        speed=speed,
        noise=noise,
        terms=Terms(laplacian, flow, census, reversal, privileged, perceptual, decibel),
        learn=learn,
        seed=seed,
        start=start,
        cpu=cpu,
        precision=precision,
        log_every=log_every,
    )


@app.command()
def joint(
    data: Data,
    run: Run,
    vfi: Annotated[
        str, typer.Option(help="Interpolation weights to begin with: a name or a path.")
    ] = "vfi-s",
    mask: Annotated[str, typer.Option(help="Mask weights to begin with: a name or a path.")] = "static-s",
    parts: Annotated[str, typer.Option(help="What learns: both, mask or vfi.")] = "both",
    last_blocks: Annotated[
        int, typer.Option(help="Only these last blocks of the interpolation network learn; 0: all.")
    ] = 0,
    steps: int = 2000,
    batch: int = 8,
    size: Annotated[int, typer.Option(help="Side of a crop in px.")] = 160,
    rate: float = 2e-4,
    seed: int = 0,
    cpu: Cpu = False,
    precision: Precision = "no",
    log_every: LogEvery = 50,
) -> None:
    """Refine a mask and an interpolation network together, through their fusion."""
    from distill.training.joint import joint as run_training

    run_training(
        data,
        run,
        vfi=vfi,
        mask=mask,
        parts=parts,
        last_blocks=last_blocks,
        steps=steps,
        batch=batch,
        size=size,
        rate=rate,
        seed=seed,
        cpu=cpu,
        precision=precision,
        log_every=log_every,
    )


@evaluation.command()
def quality(
    clips: Clips,
    vfi: Annotated[str, typer.Option(help="Interpolation weights: a name or a path.")] = "vfi-s",
    mask: Annotated[
        str, typer.Option(help='Mask weights for frames under overlays, or "none".')
    ] = "static-s",
    runs: Annotated[int, typer.Option(help="Places per clip.")] = 12,
    times: Annotated[int, typer.Option(help="2: every other frame is made; 4: three of four.")] = 2,
) -> None:
    """PSNR, SSIM, LPIPS, VMAF and flicker of made frames, beside blending, DIS and ffmpeg's minterpolate."""
    from distill.evaluate.quality import measure_quality, quality_tables

    measured = measure_quality(clips, vfi, None if mask == "none" else mask, runs, times)
    Console().print(*quality_tables(measured))
    for name in measured.missing:
        console.print(f"not measured: {name}", markup=False)


@evaluation.command()
def static(clips: Clips, mask: Masks = None, cases: Cases = 3) -> None:
    """StaticBench: F1 of the rarer class on composites with exact truth, and calibration, beside baselines."""
    from distill.evaluate.staticbench import calibration_table, measure_static, static_table

    bench = measure_static(clips, mask or ["static-s"], cases)
    Console().print(static_table(bench), calibration_table(bench))


@app.command()
def dmap(clips: Clips, teacher: Teachers = None, mask: Masks = None, cases: Cases = 4) -> None:
    """The D-map benchmark: which flows and masks see that overlays stand."""
    from distill.evaluate.dmap import dmap_table, measure_dmap

    scores = measure_dmap(clips, ["dis", *(teacher or [])], mask or ["static-s"], cases)
    Console().print(dmap_table(scores))


@app.command()
def report(
    clips: Clips,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    mask: Masks = None,
    teacher: Teachers = None,
    run: Annotated[Path | None, typer.Option(help="A training run whose log.jsonl is shown.")] = None,
    cases: Cases = 3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Everything that is measured of masks, as one self-contained HTML page."""
    from distill.evaluate.report import write_report

    teachers = ["dis", *(teacher or [])]
    masks = mask or ["static-s"]
    write_report(clips, out, masks, teachers, cases=cases, run=run, overwrite=overwrite)
    console.print(f"{out}: written", soft_wrap=True)


@evaluation.command()
def speed(
    weights: Annotated[list[str] | None, typer.Argument(help="Names or paths.")] = None,
    width: int = 1920,
    height: int = 1080,
) -> None:
    """Parameters, operations and seconds of networks on the CPU."""
    from distill.evaluate.speed import cost_table, load_any, measure_cost
    from distill.training.published import PublishedUNet

    networks = {name: load_any(name) for name in weights or ["vfi-s", "static-s"]}
    costs = measure_cost(networks | {"published UNet": PublishedUNet().eval()}, width, height)
    Console().print(cost_table(costs, width, height))


def main() -> None:
    """Run the command line; bad input ends in one line and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        console.print("distill: " + " ".join(str(error).split()), markup=False, soft_wrap=True)
        sys.exit(2)
