"""Which videos a batch makes: from files, folders, patterns and tables to sources with their targets."""

from __future__ import annotations

import csv
import difflib
import io
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maskvfi.batch.storage import file_system_errors, local_path, storage_of
from maskvfi.errors import MediaError, OptionError, reason
from maskvfi.paths import VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Job:
    """A video and its target.

    Attributes:
        source: The video: a path, or an address that fsspec knows.
        target: Where the result is written: a path or an address.
    """

    source: str
    target: str


def find_jobs(sources: Sequence[str], out: str) -> list[Job]:
    """Find the videos of a batch.

    Args:
        sources: Each is a video, a folder, a pattern such as `clips/*.mp4`, or a CSV table. A folder gives the videos
            in it and in its subfolders, by suffix, except hidden ones and those in `out`. A table has a column
            "source", with paths relative to the table, and may have a column "target", with paths relative to `out`.
        out: The folder for the results; by default a result has the name of its source.

    Returns:
        The jobs, in order; a video that is named twice counts once.

    Raises:
        OptionError: A source gives no video, two results would have the same target, or a table is not in order.
        MediaError: A source cannot be reached, or a folder not be read.
    """
    if not out or not all(sources):
        raise OptionError(f"{'a source' if out else 'the folder for results'} has no name")
    by_target: dict[str, Job] = {}
    for job in (job for source in sources for job in _jobs_of(source, out)):
        other = by_target.setdefault(_place(job.target), job)
        if _place(other.source) != _place(job.source):
            raise OptionError(f"{job.target}: would be made of both {other.source} and {job.source}")
    return list(by_target.values())


def refuse_replaced_sources(jobs: Sequence[Job]) -> None:
    """Refuse jobs that would replace the source of another one.

    Args:
        jobs: The jobs of a batch that replaces targets.

    Raises:
        OptionError: A target is the source of another job.
    """
    by_source = {_place(job.source): job for job in jobs}
    for job in jobs:
        other = by_source.get(_place(job.target))
        if other is not None and _place(other.source) != _place(job.source):
            raise OptionError(
                f"{job.target}: is a source of this batch, and the result of {job.source} would replace it"
            )


def _place(place: str) -> str:
    """The same text for every spelling of a place."""
    path = local_path(place)
    return place if path is None else os.path.realpath(path)


def _jobs_of(source: str, out: str) -> Iterator[Job]:
    storage, path = storage_of(source)
    if source.lower().endswith(".csv"):
        yield from _of_table(source, out)
        return
    with file_system_errors(source, "read"):
        folder = storage.isdir(path)
        pattern = any(sign in path for sign in "*?[") and not storage.exists(path)
    if folder:
        yield from _of_folder(source, out)
    elif pattern:
        yield from _of_pattern(source, out)
    else:
        yield Job(source, _join(out, posixpath.basename(path)))


def _of_folder(source: str, out: str) -> Iterator[Job]:
    storage, path = storage_of(source)
    with file_system_errors(source, "read"):
        found = sorted(storage.find(path))
    if local_path(source) is not None:
        _refuse_unreadable(path)
    found = [inside for inside in found if _is_video(inside, path, out)]
    if not found:
        raise OptionError(f"{source}: holds no video")
    for inside in found:
        yield Job(_address(source, inside), _join(out, posixpath.relpath(inside, path)))


def _of_pattern(source: str, out: str) -> Iterator[Job]:
    storage, path = storage_of(source)
    searched = posixpath.dirname(re.split(r"[*?\[]", path)[0]) or "."
    with file_system_errors(source, "read"):
        found = [
            inside
            for inside in sorted(storage.glob(path))
            if not (storage.isdir(inside) or _is_result(inside, searched, out))
        ]
    if not found:
        raise OptionError(f"{source}: no file is called so")
    for inside in found:
        yield Job(_address(source, inside), _join(out, posixpath.basename(inside)))


def _refuse_unreadable(folder: str) -> None:
    """Raise MediaError if a folder below a local one cannot be read: fsspec would leave it out in silence."""

    def refuse(error: OSError) -> None:
        raise MediaError(f"{error.filename}: cannot be read ({reason(error)})") from error

    for _ in os.walk(folder, onerror=refuse):
        pass


def _of_table(source: str, out: str) -> Iterator[Job]:
    heading, rows = _read_table(source)
    place = posixpath.dirname(storage_of(source)[1])
    for number, cells in rows:
        row = dict(zip(heading, cells, strict=False))
        named, target = row["source"], row.get("target", "")
        if not named:
            has = f"the target {target} and no source" if target else "no source"
            raise OptionError(f"{source}: row {number} (the heading is row 1) has {has}")
        video = named if "://" in named else _join(_address(source, place), named)
        yield Job(video, _join(out, target or posixpath.basename(named)))


def _read_table(source: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of a table's columns, in lower case, and its rows, each with the number of its line in the file."""
    storage, path = storage_of(source)
    with file_system_errors(source, "read"):
        data = storage.cat_file(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OptionError(f"{source}: is not a table in UTF-8") from None
    if "\0" in text:
        raise OptionError(f"{source}: is not a CSV table (it has bytes of zero)")
    lines = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    try:
        all_rows = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines]
    except csv.Error as error:
        raise OptionError(f"{source}: is not a CSV table ({error})") from None
    rows = [(number, cells) for number, cells in all_rows if any(cells)]
    heading = [name.lower() for name in rows[0][1]] if rows else []
    _check_heading(source, heading)
    if not rows[1:]:
        raise OptionError(f"{source}: has no row under its heading")
    for number, cells in rows[1:]:
        if len(cells) > len(heading):
            raise OptionError(
                f"{source}: row {number} (the heading is row 1) has {len(cells)} cells under {len(heading)} columns: "
                "a name with a comma needs quotes"
            )
    return heading, rows[1:]


def _check_heading(source: str, heading: list[str]) -> None:
    """Refuse a table without the column source, with one twice, or with a name that is nearly target."""
    listed = ", ".join(heading)
    if "source" not in heading:
        raise OptionError(f"{source}: has no column called source, its columns are: {listed or 'none'}")
    if twice := [name for name in ("source", "target") if heading.count(name) > 1]:
        raise OptionError(f"{source}: has two columns called {twice[0]}")
    nearly = difflib.get_close_matches("target", heading, 1, 0.75)
    if "target" not in heading and nearly:
        raise OptionError(f"{source}: has a column called {nearly[0]}: is target meant?")


def _is_video(inside: str, folder: str, out: str) -> bool:
    """Whether a file of a folder is a video, not hidden, and no result of an earlier run."""
    hidden = any(name.startswith(".") for name in posixpath.relpath(inside, folder).split("/"))
    return not hidden and not _is_result(inside, folder, out) and inside.lower().endswith(VIDEO_SUFFIXES)


def _is_result(inside: str, folder: str, out: str) -> bool:
    """Whether a file lies in the folder for results, where that is inside of the folder that is searched."""
    file, searched, results = (local_path(each) for each in (inside, folder, out))
    if file is None or searched is None or results is None:
        return False
    results = results.resolve()
    return searched.resolve() in results.parents and results in file.resolve().parents


def _address(like: str, inside: str) -> str:
    """The address of a path in the file system of `like`."""
    return inside if "://" not in like else str(storage_of(like)[0].unstrip_protocol(inside))


def _join(folder: str, name: str) -> str:
    if "://" in name or posixpath.isabs(name):
        return name
    return posixpath.join(folder, name)
