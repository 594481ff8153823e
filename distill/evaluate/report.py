"""All measurements of masks as one self-contained HTML page: tables, curves, pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from distill.evaluate.cases import KINDS
from distill.evaluate.charts import Line, line_chart
from distill.evaluate.dmap import DMAP_HEADERS, DmapScore, dmap_rows, measure_dmap
from distill.evaluate.judges import PUBLISHED_PREFIX, load_judge
from distill.evaluate.markup import inline, section, table, whole_page
from distill.evaluate.speed import Cost, measure_cost
from distill.evaluate.staticbench import (
    CALIBRATION_HEADERS,
    COLUMNS,
    EDGE,
    FAILURE_HEADERS,
    GIVEN,
    PAIRS,
    STATIC_HEADERS,
    Bench,
    Example,
    calibration_rows,
    f1_rows,
    failure_rows,
    measure_static,
)
from distill.evaluate.whole_moving import SPEED
from distill.options import COST_SIZE
from distill.training.published import PublishedUNet
from maskvfi.paths import check_target, written_whole

UNSURE = (205, 60, 50)
KIND_TEXT = {
    "hud": "Overlays that stand over moving footage, some of them half-transparent.",
    "fade": "Overlays whose opacity changes between the frames.",
    "still": "A still camera with slow and fast movers.",
    "repeat": "Overlays over walls, fences and pages that repeat, under a moving camera.",
    "drift": "Overlays over soft clouds that go slowly by.",
    "swap": "Overlays beside digits, subtitles and pages that are replaced at once.",
    "light": "Overlays or still scenes under changing light, gamma, tint and wandering shadows.",
    "sequence": "Five noisy frames with overlays, judged in one pass; shown is the first gap.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What the page shows.

    Attributes:
        clips: The name of the folder of clips.
        bench: Of StaticBench.
        dmap: Of the D-map benchmark.
        costs: Of the masks, and of the published network at the end.
        log: The lines of a training's log; none without a run.
    """

    clips: str
    bench: Bench
    dmap: list[DmapScore]
    costs: list[Cost]
    log: list[dict[str, Any]]


def write_report(
    clips: Path,
    out: Path,
    masks: list[str],
    teachers: list[str],
    *,
    cases: int,
    run: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Measure masks and teachers, and write the page; it appears when it is whole.

    Args:
        clips: A folder of videos.
        out: The HTML file to write.
        masks: Names as `load_judge` takes them.
        teachers: Names as `load_teacher` takes them.
        cases: Composites per clip and kind.
        run: A folder with a training's log.jsonl, to be shown as well.
        overwrite: Replace a file that exists.

    Raises:
        MediaError: The page exists or cannot be written.
        ValueError: Clips or weights cannot be read.
        OSError: There is no log in run.
    """
    out = check_target(out, overwrite)
    log = read_log(run / "log.jsonl") if run else []
    report = Report(
        clips.resolve().name,
        measure_static(clips, masks, cases),
        measure_dmap(clips, teachers, masks, cases),
        _costs(masks),
        log,
    )
    with written_whole(out, overwrite=overwrite) as partial:
        partial.write_text(page(report), encoding="utf-8")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a training's log; one that a kill has torn is left out.

    Raises:
        ValueError: It is no such log.
        OSError: It cannot be read.
    """
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    try:
        return [{"step": line["step"], **line} for line in map(json.loads, lines)]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path}: is no log of a training") from None


def page(report: Report) -> str:
    """The report as HTML with its style, charts and pictures inside."""
    bench = report.bench
    lead = (
        f"Static masks measured on composites over the clips of <b>{escape(report.clips)}</b>, whose still pixels are "
        "known exactly."
    )
    sections = [
        _highlights(report),
        *_bench_sections(bench),
        _training(report.log),
        section(
            "Examples",
            f"By <b>{escape(bench.results[0].judge.name)}</b>, the best and the worst of each kind. Truth: white "
            "stands still, black moves, red is not judged. Mask: the whiter, the surer that it stands still.",
            *(_examples(kind, bench.examples[kind]) for kind in KINDS),
        ),
        section(
            "D-map benchmark",
            "Figures and text over real frames, as in Exploring-Discontinuity-for-VFI. One-sided: the D-map marks "
            "only overlays, so L1 is taken where they stand; what else stands still does not count against "
            "anyone. The price of saying “still” too often is in the column of the area that surely moves.",
            table(DMAP_HEADERS, dmap_rows(report.dmap)),
        ),
        section(
            "Cost",
            f"One pair of frames at {COST_SIZE[0]}x{COST_SIZE[1]}, both encoded anew, float32 on this machine's "
            "CPU in this run. A multiplication and an addition count as two operations.",
            table(COST_HEADERS, _cost_rows(report.costs)),
        ),
    ]
    return whole_page("What stands still", lead, sections)


def _bench_sections(bench: Bench) -> list[str]:
    """What StaticBench found, but for the examples."""
    return [
        section(
            "StaticBench",
            "F1 of the rarer class, the mean over all cases of a kind; <i>mean</i> is over hud, fade and still. "
            "Thresholds: 0.5; the one that is best for all kinds in common; each kind's own best. "
            f"<i>{PAIRS}</i> are the cases of <i>sequence</i> with every gap judged by its own two frames; "
            f"<i>{GIVEN}</i> are those of hud, fade and still, with pixels within {EDGE} px of a true edge taken as "
            "right.",
            table(STATIC_HEADERS, _static_rows(bench)),
        ),
        section(
            "Precision and recall",
            "Of the class that is rarer in a kind, pooled over all its pixels. The dot is the threshold 0.5.",
            _legend(bench),
            *_precision_charts(bench),
        ),
        section(
            "Are the probabilities true?",
            "Above the diagonal a mask is too timid, below it too bold. The last two columns are shares of "
            "the picture: of identical frames all should be still; of a pan, where it shows, next to nothing.",
            *_reliability_chart(bench),
            table(CALIBRATION_HEADERS, calibration_rows(bench)),
        ),
        section(
            "What is wrongly called still",
            "Where DIS and RIFE agree that real footage goes by more than "
            f"{SPEED:g} px per gap, in gaps in which everything moves; and where content was replaced in place. "
            "Thresholds are 0.5 for networks and the common one for baselines. Then F1 of "
            "what a network finds replaced; and the share of the pixels of sequences that change sides from one gap "
            "to the next although the truth does not.",
            table(FAILURE_HEADERS, failure_rows(bench)),
        ),
    ]


def _highlights(report: Report) -> str:
    """The figures of the first mask for which the project has goals."""
    first = report.bench.results[0]
    rule, figures = f1_rows(first)[0]
    passes, pairs = (float(first.f1[column][first.middle()]) for column in ("sequence", PAIRS))
    published = report.costs[-1]
    mine = next((cost for cost in report.costs if cost.name == first.judge.name), published)
    tiles = [
        (f"{figures[3]:.3f}", f"mean F1 of hud, fade and still (threshold {rule})"),
        (f"{passes:.3f}", f"F1 of five frames in one pass ({passes - pairs:+.3f} against pairs)"),
        (f"{first.calibration_error():.3f}", "calibration error"),
        (f"{mine.gflop:.1f}", "GFLOP per 1080p pair"),
        (f"{published.seconds / mine.seconds:.1f}x", "the speed of the published UNet"),
    ]
    cards = "".join(f"<div><b>{value}</b><span>{escape(text)}</span></div>" for value, text in tiles)
    return f"<div class='tiles'>{cards}</div>"


def _static_rows(bench: Bench) -> list[list[str]]:
    return [
        [result.judge.name if number == 0 else "", rule, *(f"{x:.3f}" for x in figures)]
        for result in bench.results
        for number, (rule, figures) in enumerate(f1_rows(result))
    ]


def _precision_charts(bench: Bench) -> list[str]:
    charts = []
    for column in COLUMNS:
        lines = []
        for colour, result in enumerate(bench.results):
            curve = [
                (float(r), float(p))
                for r, p in zip(result.recall[column], result.precision[column], strict=True)
            ]
            dots = [] if result.judge.unit else [curve[result.middle()]]
            lines.append(Line(colour, curve, dots))
        charts.append(_figure(line_chart(column, lines, "recall", "precision"), column))
    return ["<div class='charts'>", *charts, "</div>"]


def _reliability_chart(bench: Bench) -> list[str]:
    lines = []
    for colour, result in enumerate(bench.results):
        if not result.judge.unit:
            points = [(float(said), float(seen)) for said, seen, pixels in result.reliability if pixels > 0]
            lines.append(Line(colour, points, points))
    chart = line_chart("reliability", lines, "said: stands still", "share that does", diagonal=True)
    return ["<div class='charts'>", _figure(chart, "reliability"), "</div>"]


def _training(log: list[dict[str, Any]]) -> str:
    if len(log) < 2:
        return ""
    # Decibels would press all losses down to one line.
    names = [name for name in dict.fromkeys(chain(*log)) if name not in ("step", "seconds_per_step", "psnr")]
    lines = [
        Line(colour, [(line["step"], line[name]) for line in log if math.isfinite(line.get(name, math.nan))])
        for colour, name in enumerate(names)
    ]
    highest = max((value for line in lines for _, value in line.points), default=0.0)
    top = next(end for end in (1, 1.2, 1.6, 2, 4, 8, highest) if end >= highest)
    chart = line_chart("training", lines, "step", "mean", log[-1]["step"], top)
    seconds = float(np.mean([line["seconds_per_step"] for line in log if "seconds_per_step" in line] or [0]))
    text = f"{log[-1]['step']:,} steps, {seconds:.2f} seconds each."
    return section("Training", text, _keys(names), "<div class='charts'>", _figure(chart, ""), "</div>")


def _examples(kind: str, examples: Sequence[Example]) -> str:
    rows = []
    for example in examples:
        case = example.case
        truth = np.where(case.static[0], 255, 0).astype(np.uint8)[..., None].repeat(3, axis=2)
        truth[case.unsure[0]] = UNSURE
        said = np.rint(example.said * 255).astype(np.uint8)
        pictures = [("frame 0", case.frames[0], ".jpg"), ("frame 1", case.frames[1], ".jpg")]
        pictures += [("truth", truth, ".png"), ("mask", said, ".png")]
        cells = "".join(
            f"<figure><img alt='{name}' src='{inline(picture, kind)}'><figcaption>{name}</figcaption></figure>"
            for name, picture, kind in pictures
        )
        about = f"{case.clip}, {'real frames' if case.real else 'synthetic motion'}"
        rows.append(
            f"<p class='about'>F1 {example.f1:.2f} · {escape(about)}</p><div class='strip'>{cells}</div>"
        )
    return f"<h3>{kind}</h3><p>{KIND_TEXT[kind]}</p>" + "".join(rows)


def _costs(masks: list[str]) -> list[Cost]:
    """The cost of every mask, and at the end that of the published network, which no weights change."""
    networks = {
        name: cast(nn.Module, load_judge(name)) for name in masks if not name.startswith(PUBLISHED_PREFIX)
    }
    return measure_cost(networks | {"published UNet": PublishedUNet().eval()}, *COST_SIZE)


COST_HEADERS = (
    ("weights", "left"),
    ("parameters", "right"),
    ("GFLOP", "right"),
    ("seconds", "right"),
    ("times as fast as the published UNet", "right"),
)


def _cost_rows(costs: list[Cost]) -> list[list[str]]:
    last = costs[-1].seconds
    return [
        [c.name, f"{c.parameters:,}", f"{c.gflop:.1f}", f"{c.seconds:.2f}", f"{last / c.seconds:.1f}x"]
        for c in costs
    ]


def _legend(bench: Bench) -> str:
    return _keys([result.judge.name for result in bench.results])


def _keys(names: Sequence[str]) -> str:
    keys = "".join(f"<li><i class='key-{k}'></i>{escape(name)}</li>" for k, name in enumerate(names))
    return f"<ul class='keys'>{keys}</ul>"


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"
