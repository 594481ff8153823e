"""Plot what `maskvfi bench --json` wrote: seconds over frame size, and the gain over the share that stands still.

python -m benchmarks.plot_speed torch.json openvino.json --out docs/speed.svg
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from distill.evaluate.charts import HEIGHT, WIDTH, Line, line_chart

COLOURS = ("#9a9a9a", "#2b6cb0", "#c05621", "#2f855a", "#6b46c1")
STYLE = (
    "text { font: 11px sans-serif; fill: #444 } .grid { stroke: #ddd } polyline { fill: none; stroke-width: 2 } "
    + " ".join(
        f"polyline.line-{k} {{ stroke: {c} }} .line-{k} {{ fill: {c} }} polyline.line-{k} {{ fill: none }}"
        for k, c in enumerate(COLOURS)
    )
)


def main(
    reports: Annotated[list[Path], typer.Argument(help="JSON files of `maskvfi bench`, one per runtime.")],
    out: Annotated[Path, typer.Option(help="The SVG file.")],
) -> None:
    """Draw two charts side by side with a legend below."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in reports]
    names = ["plain", *(f"{report['runtime']} {report['precision']}" for report in found)]

    def sizes(report: dict, part: str) -> list[tuple[float, float]]:
        return [(s["width"] * s["height"] / 1e6, s[part]) for s in report["sizes"]]

    plain = [(x, min(y)) for x, *y in zip(*_columns([sizes(r, "plain") for r in found]), strict=True)]
    seconds = [plain, *(sizes(report, "network") for report in found)]
    gains = [
        [(100 * point["share"], point["ratio"]) for point in report["still"] if point["share"] < 1]
        for report in found
    ]
    charts = [
        _chart("seconds per frame", seconds, "megapixels", "seconds", first=0),
        _chart("gain with the mask", gains, "% of the picture that stands still", "times plain", first=1),
    ]
    placed = "".join(
        chart.replace("<svg ", f'<svg x="{k * WIDTH}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        for k, chart in enumerate(charts)
    )
    legend = "".join(
        f'<rect class="line-{k}" x="{46 + 150 * k}" y="{HEIGHT + 6}" width="18" height="3"/>'
        f'<text x="{70 + 150 * k}" y="{HEIGHT + 12}">{name}</text>'
        for k, name in enumerate(names)
    )
    out.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT + 24}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{placed}{legend}</svg>\n',
        encoding="utf-8",
    )


def _columns(curves: list[list[tuple[float, float]]]) -> list[list[float]]:
    """The x values, which all curves share, and the y values of each curve."""
    return [[x for x, _ in curves[0]], *([y for _, y in curve] for curve in curves)]


def _chart(title: str, curves: list[list[tuple[float, float]]], x: str, y: str, first: int) -> str:
    ends = [max(point[axis] for curve in curves for point in curve) * 1.05 for axis in (0, 1)]
    if x.startswith("%"):
        ends[0] = 100
    lines = [Line(first + k, curve, curve) for k, curve in enumerate(curves)]
    return line_chart(title, lines, x, y, x_end=ends[0], y_end=ends[1])


if __name__ == "__main__":
    typer.run(main)
