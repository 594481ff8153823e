"""`maskvfi weights`: list, describe, download, convert and verify weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from maskvfi.cli.console import progress_bar, say

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]

weights = typer.Typer(help="Weights by name: list, look at, download, convert, check.", no_args_is_help=True)


@weights.command("list")
def list_weights() -> None:
    """The weights on this machine, and the names of those that `get` downloads."""
    from maskvfi.weights import locate
    from maskvfi.weights.catalogue import SOURCES
    from maskvfi.weights.read import count_parameters

    table = Table("name", "kind", "parameters", "path", box=None)
    there = list(locate.list_weights())
    for file in there:
        count = count_parameters(file.path)
        found = ("unreadable", "") if count is None else (file.kind, f"{count:,}")
        table.add_row(*map(Text, (file.name, *found, str(file.path))))
    Console().print(table)
    names = {file.name for file in there}
    others = " ".join(source.name for source in SOURCES if source.name not in names)
    if others:
        print(f"\nmaskvfi weights get downloads: {others}")


@weights.command("info")
def info(name: Annotated[str, typer.Argument(help="A name or a path.")]) -> None:
    """What a weights file is."""
    from maskvfi.weights.load import describe

    table = Table(box=None, show_header=False)
    for what, found in describe(name):
        table.add_row(what, Text(found))
    Console().print(table)


@weights.command("get")
def get(name: Annotated[str, typer.Argument(help="A RIFE version, such as rife-4.25.")]) -> None:
    """Download the published weights of a RIFE version, so that its name loads them."""
    from maskvfi.weights.download import get_weights

    with progress_bar(f"downloading {name}", DownloadColumn(), TransferSpeedColumn()) as progress:
        fetched = get_weights(name, progress)
    say(f"{fetched.path}: {fetched.news}")
    if fetched.url:
        say(f"{fetched.sha256}  {fetched.url}")


@weights.command("convert")
def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A name, a .pkl, .pth, .zip or .safetensors, or an ncnn folder."),
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="A .safetensors file.")],
    overwrite: Overwrite = False,
) -> None:
    """Write weights of any kind as one file that says what it is."""
    from maskvfi.weights.load import convert_weights

    say(f"{convert_weights(source, target, overwrite=overwrite)}")


@weights.command("verify")
def verify(
    name: Annotated[str | None, typer.Argument(help="A name or a path; all names unless given.")] = None,
) -> None:
    """Compare weights with the hashes that are known of them."""
    from maskvfi.weights.download import verify_weights

    for check in verify_weights(name):
        say(f"{check.sha256}  {check.name}: {check.finding}")
