"""Tables for the console, whose cells are shown as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text


def console_table(
    title: str, headers: Iterable[tuple[str, str]], rows: Iterable[Sequence[str]], lines: Iterable[int] = ()
) -> Table:
    """A table for the console.

    Args:
        title: What stands above it.
        headers: Each with "left" or "right", where its column is aligned.
        rows: The cells. Names in brackets stay, which rich would take for markup.
        lines: The numbers of the rows under which a line is drawn.
    """
    table, ends = Table(title=escape(title)), set(lines)
    for header, justify in headers:
        table.add_column(Text(header), justify=justify)  # type: ignore[arg-type]
    for number, row in enumerate(rows):
        table.add_row(*map(Text, row), end_section=number in ends)
    return table
