"""What the command line prints: lines and progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from maskvfi.batch import Summary

console = Console(stderr=True)


def say(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "")


@contextmanager
def progress_bar(what: str, *counts: ProgressColumn) -> Iterator[Callable[[int, int | None], None]]:
    """A bar; counts show how far it is, in frames unless given."""
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn()]
    columns += [*(counts or (MofNCompleteColumn(), _Speed())), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        try:
            yield lambda done, total: bar.update(task, completed=done, total=total)
        except KeyboardInterrupt as stop:
            bar.stop()
            say(f"maskvfi: stopped; {str(stop) or 'nothing was written'}")
            raise typer.Exit(130) from None


@contextmanager
def batch_progress() -> Iterator[Callable[[Summary], None]]:
    """A line on how far a batch is."""
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[parts]}"), _Speed()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting Ray", total=None, parts="")

        def show(at: Summary) -> None:
            words = [f"{sum(at.videos.values()) - at.videos['waiting']} of {sum(at.videos.values())} videos"]
            words += [f"{at.videos['failed']} failed"] if at.videos["failed"] else []
            words += [f"{len(at.workers)} workers"]
            words += [f"{at.lost} replaced"] if at.lost else []
            parts = f"{at.parts}/{at.parts_known} segments"
            bar.update(
                task,
                description=", ".join(words),
                completed=at.frames,
                total=at.frames_known or None,
                parts=parts,
            )

        try:
            yield show
        except KeyboardInterrupt as stop:
            bar.stop()
            say(f"maskvfi: stopped; {str(stop) or 'nothing was written'}")
            raise typer.Exit(130) from None
