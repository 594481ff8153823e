"""All measurements of masks as one self-contained HTML page: tables, curves, pictures."""

from __future__ import annotations

import base64
import json
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import nn

from distill.arrays import Image
from distill.evaluate.cases import KINDS
from distill.evaluate.charts import Line, line_chart
from distill.evaluate.dmap import DMAP_HEADERS, DmapScore, dmap_rows, measure_dmap
from distill.evaluate.judges import PUBLISHED, load_judge
from distill.evaluate.speed import Cost, measure_cost
from distill.evaluate.staticbench import (
    CALIBRATION_HEADERS,
    COLUMNS,
    FAILURE_HEADERS,
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
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] if run else []
    report = Report(
        clips.name,
        measure_static(clips, masks, cases),
        measure_dmap(clips, teachers, masks, cases),
        _costs(masks),
        log,
    )
    with written_whole(out) as partial:
        partial.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """The report as HTML with its style, charts and pictures inside."""
    bench = report.bench
    command = shlex.join(["python", "-m", "distill", *sys.argv[1:]])
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    sections = [
        f"<h1>What stands still</h1><p class='lead'>Static masks measured on composites over the clips of "
        f"<b>{escape(report.clips)}</b>, whose still pixels are known exactly.</p>"
        f"<p class='facts'>{escape(now)} · {escape(_device())}</p><pre>{escape(command)}</pre>",
        _highlights(report),
        _section(
            "StaticBench",
            "F1 of the rarer class, the mean over all cases of a kind; <i>mean</i> is over hud, fade and still. "
            "Thresholds: 0.5; the one that is best for all kinds in common; each kind's own best. "
            f"<i>{PAIRS}</i> are the cases of <i>sequence</i> with every gap judged by its own two frames.",
            _table(STATIC_HEADERS, _static_rows(bench)),
        ),
        _section(
            "Precision and recall",
            "Of the class that is rarer in a kind, pooled over all its pixels. The dot is the threshold 0.5.",
            _legend(bench),
            *_precision_charts(bench),
        ),
        _section(
            "Are the probabilities true?",
            "Above the diagonal a mask is too timid, below it too bold. The last two columns are shares of "
            "the picture: of identical frames all should be still; of a pan, where it shows, next to nothing.",
            *_reliability_chart(bench),
            _table(CALIBRATION_HEADERS, calibration_rows(bench)),
        ),
        _section(
            "What is wrongly called still",
            "Where DIS and RIFE agree that real footage goes by more than "
            f"{SPEED:g} px per gap, in gaps in which everything moves; and where content was replaced in place. "
            "Thresholds are 0.5 for networks and the common one for baselines. Then F1 of "
            "what a network finds replaced; and the share of the pixels of sequences that change sides from one gap "
            "to the next although the truth does not.",
            _table(FAILURE_HEADERS, failure_rows(bench)),
        ),
        _training(report.log),
        _section(
            "Examples",
            f"By <b>{escape(bench.results[0].judge.name)}</b>, the best and the worst of each kind. Truth: white "
            "stands still, black moves, red is not judged. Mask: the whiter, the surer that it stands still.",
            *(_examples(kind, bench.examples[kind]) for kind in KINDS),
        ),
        _section(
            "D-map benchmark",
            "Figures and text over real frames, as in Exploring-Discontinuity-for-VFI. One-sided: the D-map marks "
            "only overlays, so L1 is taken where they stand; what else stands still does not count against "
            "anyone. The price of saying “still” too often is in the column of the area that surely moves.",
            _table(DMAP_HEADERS, dmap_rows(report.dmap)),
        ),
        _section(
            "Cost",
            f"One pair of frames at {COST_SIZE[0]}x{COST_SIZE[1]}, both encoded anew, float32 on this machine's "
            "CPU in this run. A multiplication and an addition count as two operations.",
            _table(COST_HEADERS, _cost_rows(report.costs)),
        ),
    ]
    body = "\n".join(section for section in sections if section)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Static masks on {escape(report.clips)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def _highlights(report: Report) -> str:
    """The figures of the first mask for which the project has goals."""
    first = report.bench.results[0]
    rule, figures = f1_rows(first)[1]
    passes, pairs = (float(first.f1[column][first.common()]) for column in ("sequence", PAIRS))
    mine, published = report.costs[0], report.costs[-1]
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
    names = [name for name in log[0] if name not in ("step", "seconds_per_step")]
    lines = [
        Line(colour, [(line["step"], line[name]) for line in log if name in line])
        for colour, name in enumerate(names)
    ]
    highest = max(value for line in lines for _, value in line.points)
    top = next(end for end in (1, 1.2, 1.6, 2, 4, 8, highest) if end >= highest)
    chart = line_chart("training", lines, "step", "mean", log[-1]["step"], top)
    seconds = float(np.mean([line["seconds_per_step"] for line in log if "seconds_per_step" in line] or [0]))
    text = f"{log[-1]['step']:,} steps, {seconds:.2f} seconds each."
    return _section("Training", text, _keys(names), "<div class='charts'>", _figure(chart, ""), "</div>")


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
            f"<figure><img alt='{name}' src='{_inline(picture, kind)}'><figcaption>{name}</figcaption></figure>"
            for name, picture, kind in pictures
        )
        about = f"{case.clip}, {'real frames' if case.real else 'synthetic motion'}"
        rows.append(
            f"<p class='about'>F1 {example.f1:.2f} · {escape(about)}</p><div class='strip'>{cells}</div>"
        )
    return f"<h3>{kind}</h3><p>{KIND_TEXT[kind]}</p>" + "".join(rows)


def _costs(masks: list[str]) -> list[Cost]:
    """The cost of every mask, and at the end that of the published network, which no weights change."""
    networks = {name: cast(nn.Module, load_judge(name)) for name in masks if not name.startswith(PUBLISHED)}
    return measure_cost(networks | {"published UNet": PublishedUNet().eval()}, *COST_SIZE)


COST_HEADERS = (
    ("weights", "left"),
    ("parameters", "right"),
    ("GFLOP", "right"),
    ("seconds", "right"),
    ("speed of the published UNet", "right"),
)


def _cost_rows(costs: list[Cost]) -> list[list[str]]:
    last = costs[-1].seconds
    return [
        [c.name, f"{c.parameters:,}", f"{c.gflop:.1f}", f"{c.seconds:.2f}", f"{last / c.seconds:.1f}x"]
        for c in costs
    ]


def _section(title: str, text: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{text}</p>{''.join(parts)}</section>"


def _table(headers: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        inside = (
            f"<{tag} class='{justify}'>{escape(cell)}</{tag}>"
            for cell, (_, justify) in zip(cells, headers, strict=True)
        )
        return f"<tr class='{'more' if tag == 'td' and not cells[0] else ''}'>{''.join(inside)}</tr>"

    head = line("th", [header for header, _ in headers])
    body = "".join(line("td", row) for row in rows)
    return f"<div class='scroll'><table><thead>{head}</thead><tbody>{body}</tbody></table></div>"


def _legend(bench: Bench) -> str:
    return _keys([result.judge.name for result in bench.results])


def _keys(names: Sequence[str]) -> str:
    keys = "".join(f"<li><i class='key-{k}'></i>{escape(name)}</li>" for k, name in enumerate(names))
    return f"<ul class='keys'>{keys}</ul>"


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def _inline(picture: Image, suffix: str) -> str:
    colour = picture[..., ::-1] if picture.ndim == 3 else picture
    options = [cv2.IMWRITE_JPEG_QUALITY, 88] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    data = base64.b64encode(cv2.imencode(suffix, colour, options)[1].tobytes()).decode()
    return f"data:image/{'jpeg' if suffix == '.jpg' else 'png'};base64,{data}"


def _device() -> str:
    """The processor that all was measured on."""
    name = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        lines = (line.partition(":") for line in facts.read_text().splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads != 1)}, torch {torch.__version__}"


STYLE = """
:root { color-scheme: light dark;
  --page: #fbfbf9; --card: #fff; --ink: #1d2126; --soft: #626a73; --rule: #e3e4e0; --accent: #0b6bcb;
  --c0: #0b6bcb; --c1: #d1495b; --c2: #2a9d5c; --c3: #b7791f; --c4: #7b4fc4; --c5: #16909b; --c6: #8a8f98; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171a; --card: #1c2024; --ink: #e6e8ea; --soft: #9aa3ad; --rule: #30363c; --accent: #62aef7;
  --c0: #62aef7; --c1: #f28391; --c2: #62cf92; --c3: #e5b567; --c4: #b799f2; --c5: #58ccd6; --c6: #8d949d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: clamp(1.9rem, 5vw, 2.7rem); line-height: 1.1; letter-spacing: -0.02em; margin: 0 0 .6rem; }
h2 { font-size: 1.4rem; letter-spacing: -0.01em; margin: 0 0 .4rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 0; }
p { margin: .2rem 0 1rem; max-width: 46rem; color: var(--soft); }
p b, p i { color: var(--ink); }
.lead { font-size: 1.1rem; }
.facts, figcaption, .about { font-size: .85rem; }
.about { margin: 1rem 0 .3rem; font-variant-numeric: tabular-nums; }
pre { margin: 0; padding: .7rem .9rem; overflow-x: auto; font-size: .8rem; background: var(--card);
  border: 1px solid var(--rule); border-radius: 8px; }
section { margin-top: 3.2rem; padding-top: 1.6rem; border-top: 1px solid var(--rule); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .8rem; margin-top: 1.6rem; }
.tiles div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .9rem 1rem; }
.tiles b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums;
  color: var(--accent); }
.tiles span { font-size: .82rem; line-height: 1.35; display: block; color: var(--soft); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--soft); font-size: .8rem; vertical-align: bottom; }
th, td { padding: .5rem .8rem; white-space: nowrap; border-top: 1px solid var(--rule); }
thead th { border-top: 0; white-space: normal; }
tr.more td { border-top-color: transparent; padding-top: .1rem; }
.left { text-align: left; } .right { text-align: right; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 1rem;
  margin-bottom: 1rem; }
.charts figure { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: .8rem; }
figure { margin: 0; } figcaption { text-align: center; color: var(--soft); }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--rule); stroke-width: 1; } .ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
circle { stroke: var(--card); stroke-width: 1.5; }
.keys { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; margin: 0 0 .8rem;
  font-size: .88rem; }
.keys i { display: inline-block; width: 1.1rem; height: 3px; border-radius: 2px; margin-right: .45rem;
  vertical-align: middle; }
.strip { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; }
.strip img { display: block; width: 100%; border-radius: 6px; border: 1px solid var(--rule); }
@media (max-width: 620px) { .strip { grid-template-columns: repeat(2, 1fr); } main { padding-top: 1.8rem; } }
""" + "".join(
    f"polyline.line-{k} {{ stroke: var(--c{min(k, 6)}); }} circle.line-{k} {{ fill: var(--c{min(k, 6)}); }} "
    f".key-{k} {{ background: var(--c{min(k, 6)}); }}\n"
    for k in range(12)
)
