"""Line charts as inline SVG; a page's style sheet gives them their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 340, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40
STEPS = 4  # grid lines


@dataclass(frozen=True, slots=True)
class Line:
    """A curve.

    Attributes:
        colour: N of the style sheet's class "line-N".
        points: (x,y) along it.
        dots: (x,y) of points that are marked.
    """

    colour: int
    points: Sequence[tuple[float, float]]
    dots: Sequence[tuple[float, float]] = ()


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    x_end: float = 1.0,
    y_end: float = 1.0,
    diagonal: bool = False,
) -> str:
    """A line chart.

    Args:
        title: For screen readers.
        lines: The curves; the first lies on top.
        x_label, y_label: Names of the axes.
        x_end, y_end: Where the axes end; they begin at 0.
        diagonal: Draw a thin line from corner to corner.

    Returns:
        An <svg> element.
    """

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + min(max(x / x_end, 0), 1) * (WIDTH - LEFT - RIGHT)
        return round(across, 1), round(
            HEIGHT - BOTTOM - min(max(y / y_end, 0), 1) * (HEIGHT - TOP - BOTTOM), 1
        )

    def segment(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
        return f'<path class="{kind}" d="M{start[0]} {start[1]}L{end[0]} {end[1]}"/>'

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for step in range(STEPS + 1):
        x, y = x_end * step / STEPS, y_end * step / STEPS
        parts += [segment(at(x, 0), at(x, y_end), "grid"), segment(at(0, y), at(x_end, y), "grid")]
        below, beside = at(x, 0), at(0, y)
        parts.append(f'<text x="{below[0]}" y="{below[1] + 15}" text-anchor="middle">{x:.4g}</text>')
        parts.append(f'<text x="{beside[0] - 6}" y="{beside[1] + 4}" text-anchor="end">{y:.2g}</text>')
    middle, centre = at(x_end / 2, 0)[0], at(0, y_end / 2)[1]
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="rotate(-90 11 {centre})"'
    parts.append(f'<text x="11" y="{centre}" text-anchor="middle" {turned}>{escape(y_label)}</text>')
    if diagonal:
        parts.append(segment(at(0, 0), at(x_end, y_end), "ideal"))
    for line in reversed(lines):
        path = " ".join(f"{x},{y}" for x, y in (at(*point) for point in line.points))
        parts.append(f'<polyline class="line-{line.colour}" points="{path}"/>')
        parts += [
            f'<circle class="line-{line.colour}" cx="{x}" cy="{y}" r="3.5"/>'
            for x, y in (at(*dot) for dot in line.dots)
        ]
    return "".join((*parts, "</svg>"))
