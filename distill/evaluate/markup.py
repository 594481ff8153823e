"""Parts of a self-contained HTML page: sections, tables, pictures, one style for all."""

from __future__ import annotations

import base64
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path

import cv2
import torch

from distill.arrays import Image


def whole_page(title: str, lead: str, parts: Sequence[str]) -> str:
    """A page with its style inside, which names the time, the processor and the command that made it.

    Args:
        title: Its heading, as text.
        lead: A paragraph of HTML under the heading.
        parts: Sections of HTML; empty ones are left out.
    """
    command = shlex.join(["python", "-m", "distill", *sys.argv[1:]])
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    head = (
        f"<h1>{escape(title)}</h1><p class='lead'>{lead}</p>"
        f"<p class='facts'>{escape(now)} · {escape(device())}</p><pre>{escape(command)}</pre>"
    )
    body = "\n".join(part for part in (head, *parts) if part)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, text: str, *parts: str) -> str:
    """A section: its title as text, a paragraph of HTML, and more HTML."""
    return f"<section><h2>{escape(title)}</h2><p>{text}</p>{''.join(parts)}</section>"


def table(headers: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """A table. Headers are text and "left" or "right"; a row whose first cell is empty belongs to the one above."""

    def line(tag: str, cells: Sequence[str]) -> str:
        inside = (
            f"<{tag} class='{justify}'>{escape(cell)}</{tag}>"
            for cell, (_, justify) in zip(cells, headers, strict=True)
        )
        return f"<tr class='{'more' if tag == 'td' and not cells[0] else ''}'>{''.join(inside)}</tr>"

    head = line("th", [header for header, _ in headers])
    body = "".join(line("td", row) for row in rows)
    return f"<div class='scroll'><table><thead>{head}</thead><tbody>{body}</tbody></table></div>"


def inline(picture: Image, suffix: str) -> str:
    """A picture, RGB [H,W,3] or grey [H,W], as an address that holds it, in the format ".jpg" or ".png"."""
    colour = picture[..., ::-1] if picture.ndim == 3 else picture
    options = [cv2.IMWRITE_JPEG_QUALITY, 88] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    data = base64.b64encode(cv2.imencode(suffix, colour, options)[1].tobytes()).decode()
    return f"data:image/{'jpeg' if suffix == '.jpg' else 'png'};base64,{data}"


def device() -> str:
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
.strip.close img { image-rendering: pixelated; }
@media (max-width: 620px) { .strip { grid-template-columns: repeat(2, 1fr); } main { padding-top: 1.8rem; } }
""" + "".join(
    f"polyline.line-{k} {{ stroke: var(--c{min(k, 6)}); }} circle.line-{k} {{ fill: var(--c{min(k, 6)}); }} "
    f".key-{k} {{ background: var(--c{min(k, 6)}); }}\n"
    for k in range(12)
)
