"""The queue as HTML: what waits, what is in progress and how far, what became of the rest."""

from __future__ import annotations

import html
from collections.abc import Sequence

from maskvfi.app.queue import WORKING, Job

EMPTY = '<p class="empty">Nothing is in the queue.</p>'
STYLE = """
#jobs ol { list-style: none; margin: 0; padding: 0; }
#jobs li { padding: 12px 0; border-bottom: 1px solid var(--border-color-primary); overflow-wrap: anywhere; }
#jobs p { display: block; margin: 4px 0 0; white-space: pre-line; }
#jobs .state { color: var(--body-text-color-subdued); margin-left: 8px; }
#jobs .failed p { color: var(--error-text-color, #b91c1c); }
#jobs progress { display: block; width: 100%; height: 10px; margin: 8px 0; appearance: none; border: 0; }
#jobs progress, #jobs progress::-webkit-progress-bar { background: var(--border-color-primary); border-radius: 5px; }
#jobs progress::-webkit-progress-value { background: var(--color-accent); border-radius: 5px; }
#jobs progress::-moz-progress-bar { background: var(--color-accent); border-radius: 5px; }
#jobs img { display: block; max-width: min(100%, 640px); margin-top: 8px; border-radius: 4px; }
"""


def show_queue(jobs: Sequence[Job]) -> str:
    """Describe jobs as an HTML list.

    Args:
        jobs: The jobs.

    Returns:
        HTML without scripts; names and messages are escaped.
    """
    if not jobs:
        return EMPTY
    return f"<ol>{''.join(map(_item, jobs))}</ol>"


def how_far(done: int, total: int | None, seconds: float) -> str:
    """Say how far a job is, and when it will have ended.

    Args:
        done: How many frames were read.
        total: How many there are, or None.
        seconds: How long it has taken so far.
    """
    if not done:
        return "Beginning …"
    speed = done / max(seconds, 1e-9)
    if not total:
        return f"{done} frames, {speed:.1f} per second"
    minutes, rest = divmod(round(max(total - done, 0) / speed), 60)
    return f"{done}/{total} frames, {speed:.1f} per second, {minutes}:{rest:02} left"


def _item(job: Job) -> str:
    name = html.escape(job.name)
    line = how_far(job.done, job.total, job.seconds) if job.state == WORKING else job.line
    parts = [f'<strong>{name}</strong><span class="state">{job.state}</span>']
    if job.state == WORKING:
        value = f' value="{min(job.done, job.total)}" max="{job.total}"' if job.total else ""
        parts.append(f'<progress{value} aria-label="{name}"></progress>')
    if line:
        parts.append(f"<p>{html.escape(line)}</p>")
    if job.picture:
        parts.append(f'<img src="{job.picture}" alt="The frame in progress">')
    return f'<li class="{job.state}">{"".join(parts)}</li>'
