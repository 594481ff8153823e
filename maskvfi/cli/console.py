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
    """Print a line on stderr."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "")


@contextmanager
def progress_bar(what: str, *counts: ProgressColumn) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on stderr for the length of the block. Ctrl-C in the block ends the command.

    Args:
        what: The text beside the bar.
        *counts: Columns that show the progress; by default frames and frames per second.

    Yields:
        A function that takes the number done and the total number, which is None if unknown.
    """
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn()]
    columns += [*(counts or (MofNCompleteColumn(), _Speed())), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        with _stoppable(bar):
            yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def batch_progress() -> Iterator[Callable[[Summary], None]]:
    """Show the progress of a batch in a line on stderr. Ctrl-C in the block ends the command.

    Yields:
        A function that takes the summary of the batch.
    """
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[parts]}"), _Speed()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting Ray", total=None, parts="")

        def show(summary: Summary) -> None:
            words = [
                f"{sum(summary.videos.values()) - summary.videos['waiting']} of {sum(summary.videos.values())} videos"
            ]
            words += [f"{summary.videos['failed']} failed"] if summary.videos["failed"] else []
            words += [f"{len(summary.workers)} workers"]
            words += [f"{summary.lost} replaced"] if summary.lost else []
            parts = f"{summary.parts}/{summary.parts_known} segments"
            bar.update(
                task,
                description=", ".join(words),
                completed=summary.frames,
                total=summary.frames_known or None,
                parts=parts,
            )

        with _stoppable(bar):
            yield show


@contextmanager
def _stoppable(bar: Progress) -> Iterator[None]:
    """End the command with a line and exit code 130 if the block is stopped by Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as stop:
        bar.stop()
        say(f"maskvfi: stopped; {str(stop) or 'nothing was written'}")
        raise typer.Exit(130) from None


def usage_line(error: Exception, program: str) -> str | None:
    """Say in one line what is wrong with the words of a command. Without any words that is its help.

    Args:
        error: What a Typer app has raised that does not run alone (`standalone_mode=False`).
        program: The name of the program.

    Returns:
        The line, or the help; None if the error is no such error.
    """
    words = getattr(error, "format_message", None)  # Typer's errors are from its own Click or from Click
    if words is None:
        return None
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(words())
    context = getattr(error, "ctx", None)
    command = program if context is None else context.command_path
    return f"{program}: {' '.join(words().split()).rstrip('.')} (see {command} --help)"
