"""Every option of preparing data, training and measuring, declared once.

The functions of the training side and `python -m distill` both take their options from here. Nothing here imports
torch, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, OptionGroup, option

TEACHER = "dis"
TEACHER_DEVICE = "cpu"
TEACHER_SCALE = 1.0  # size at which a teacher sees the frames, relative to their own
PLACES = 12  # runs of frames that `evaluate quality` takes from a clip, at most
TIMES = 2  # gaps in such a run; its ends are given, and the frames between are made
# Published test sets that can be read.
SETS = ("vimeo90k", "snu-film", "xiph", "x-test", "davis", "atd12k", "gdm")
MEASURES = ("psnr", "psnr_div", "stlpips", "sharpness", "ssim", "lpips", "ssimulacra2", "vmaf", "flicker")
STILL_CASES = 7  # the still-things benchmark's composites per clip
CASES = 3  # StaticBench's composites per clip and kind
DMAP_CASES = 4  # the D-map benchmark's composites per clip
COST_SIZE = (1920, 1080)  # px, width and height at which networks are timed

STEPS = "Steps of the optimiser."
BATCH = "Samples in a step, of all processes together."
SIZE = "Side of a crop in px."
RATE = "Learning rate."
OPTIMISER = "muon learns from random weights quickly; adamw changes good weights carefully."
OPTIMISERS = ("muon", "adamw")
SEED = "Equal seeds give equal runs."
START = "Weights to start from."


@dataclass(frozen=True)
class Recipe(OptionGroup):
    """What `prepare` cuts."""

    tuples: int = option(5000, "Frame tuples to cut.", low=1)
    length: int = option(5, "Frames in a tuple.", low=2)
    size: int = option(256, "Side of a tuple in px.", low=1)
    seed: int = option(0, "Equal seeds cut equal tuples.")


@dataclass(frozen=True, kw_only=True)
class QualityOptions(OptionGroup):
    """How made frames are compared with true ones."""

    vfi: str = option(DEFAULT_VFI, "Interpolation weights: a name or a path.")
    mask: str = option(
        DEFAULT_MASK, 'Mask weights for a row of frames with it and for frames under overlays, or "off".'
    )
    runs: int | None = option(
        None, f"Places per clip ({PLACES} unless given), or in a part of a set (all).", low=1
    )
    times: int | None = option(
        None, f"Gaps in a run, whose inner frames are made ({TIMES} unless given; for x-test 8, or 4).", low=2
    )
    measures: str = option("all", f"Which to take, with commas between: {', '.join(MEASURES)}.")

    def chosen(self) -> tuple[str, ...]:
        """The names in `measures`."""
        return MEASURES if self.measures == "all" else tuple(self.measures.replace(" ", "").split(","))


@dataclass(frozen=True, kw_only=True)
class StillBenchOptions(OptionGroup):
    """What the still-things benchmark measures."""

    vfi: str = option(DEFAULT_VFI, "Interpolation weights: a name or a path.")
    mask: str = option(DEFAULT_MASK, "Mask weights: a name or a path.")
    cases: int = option(STILL_CASES, "Composites per clip; the seven kinds take turns.", low=1)
    seed: int = option(1, "Equal seeds give equal composites.")


@dataclass(frozen=True, kw_only=True)
class FitOptions(OptionGroup):
    """How a training runs, whatever is trained."""

    cpu: bool = option(False, "Train on the CPU even if there is a GPU.")
    precision: str = option(
        "fp32", "Of the forward pass: fp32, bf16 or fp16.", choices=("fp32", "bf16", "fp16")
    )
    log_every: int = option(50, "Steps between two lines of the log.", low=1)
    store_every: int = option(250, "Steps between two states that are stored.", low=1)
    stop_after: int | None = option(None, "Stop after this step; the same command without it goes on.", low=1)


@dataclass(frozen=True, kw_only=True)
class MaskTraining(FitOptions):
    """How the static mask network is trained."""

    network: str = option(
        DEFAULT_MASK, f'"{DEFAULT_MASK}", or "published", the baseline.', choices=(DEFAULT_MASK, "published")
    )
    steps: int = option(8000, STEPS, low=1)
    batch: int = option(6, BATCH, low=1)
    size: int = option(224, SIZE, low=1)
    length: int = option(5, "Frames in a sample.", low=2)
    rate: float = option(1.2e-3, RATE, low=0)
    seed: int = option(0, SEED)
    start: Path | None = option(None, START)
    keep_mask: float = option(
        0.0, "Weight that holds the mask to what it said before, where that was right.", low=0
    )


@dataclass(frozen=True, kw_only=True)
class Terms(OptionGroup):
    """How much each term of the interpolation loss counts; a term of weight 0 costs nothing, but for the picture's.

    The weight of `flow` falls to a fiftieth over the run: motion has to be learnt at first. `privileged` draws the
    flow towards that of a block which also sees the truth, wherever that block does better (Huang et al., ECCV 2022).
    `perceptual` needs the package stlpips-pytorch, for its weights.
    """

    picture: float = option(1.0, "Weight of the picture after every block.", low=0)
    laplacian: float = option(0.2, "Weight of the Laplacian pyramid.", low=0)
    flow: float = option(0.2, "Weight of known flow, at the start.", low=0)
    census: float = option(0.0, "Weight of the census transform, which compares neighbourhoods.", low=0)
    reversal: float = option(0.0, "Weight of agreement when time runs backwards.", low=0)
    privileged: float = option(0.0, "Weight of a block that sees the truth.", low=0)
    perceptual: float = option(0.0, "Weight of ST-LPIPS (needs stlpips-pytorch).", low=0)
    taught: float = option(0.0, "Weight of a teacher's flow and blend (needs --teacher).", low=0)
    imitated: float = option(
        0.0, "Share of the run, at its start, in which each block learns its teacher's block.", low=0, high=1
    )
    decibel: float = option(0.0, "Weight of the logarithm of the squared error, which PSNR counts.", low=0)


@dataclass(frozen=True, kw_only=True)
class VfiTraining(FitOptions, Terms):
    """How an interpolation network is trained."""

    variant: str | None = option(
        None, '"vfi-s", "vfi-m" or a RIFE 4.x family; by default that of --start, else vfi-s.'
    )
    steps: int = option(4200, STEPS, low=1)
    batch: int = option(8, BATCH, low=1)
    size: int = option(128, SIZE, low=1)
    rate: float = option(1.2e-3, RATE, low=0)
    synthetic: float = option(0.5, "Share of samples whose motion is synthetic.", low=0, high=1)
    overlays: float = option(0.25, "Share of samples with things that stand on top.", low=0, high=1)
    speed: float = option(16.0, "Fastest synthetic motion, px per gap.", low=0.3)
    noise: float = option(0.0, "Share of real samples that get more noise.", low=0, high=1)
    optimiser: str = option("muon", OPTIMISER, choices=OPTIMISERS)
    teacher: str | None = option(
        None, "Weights whose flow is learnt, and whose strongest filters are the start."
    )
    seed: int = option(0, SEED)
    start: Path | None = option(None, START)


@dataclass(frozen=True, kw_only=True)
class JointTraining(FitOptions):
    """How a mask and an interpolation network are refined together."""

    vfi: str = option(DEFAULT_VFI, "Interpolation weights to begin with: a name or a path.")
    mask: str = option(DEFAULT_MASK, "Mask weights to begin with: a name or a path.")
    parts: str = option("both", "What learns: both, mask or vfi.", choices=("both", "mask", "vfi"))
    last_blocks: int = option(0, "Only these last blocks of the interpolation network learn; 0: all.", low=0)
    steps: int = option(2000, STEPS, low=1)
    batch: int = option(8, BATCH, low=1)
    size: int = option(160, SIZE, low=1)
    rate: float = option(2e-4, RATE, low=0)
    overlays: float = option(0.6, "Share of samples with things that stand on top.", low=0, high=1)
    synthetic: float = option(0.2, "Share of samples whose motion is synthetic.", low=0, high=1)
    noise: float = option(0.3, "Share of real samples that get more noise.", low=0, high=1)
    keep_mask: float = option(
        1.0, "Weight that holds the mask to the truth, and to what it said before.", low=0
    )
    keep_vfi: float = option(
        20.0, "Weight that holds the network to what it made before, on plain footage.", low=0
    )
    perceptual: float = option(
        0.0, "Weight of ST-LPIPS of the composed frame (needs stlpips-pytorch).", low=0
    )
    optimiser: str = option("muon", OPTIMISER, choices=OPTIMISERS)
    seed: int = option(0, SEED)
