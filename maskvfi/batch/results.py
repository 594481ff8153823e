"""The result of every video of a batch, as a row of a CSV or Parquet table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet

from maskvfi.errors import MediaError, OptionError
from maskvfi.paths import PathLike, written_whole

TYPES = {"str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64()}
SUFFIXES = (".csv", ".parquet")


@dataclass(slots=True)
class Row:
    """The result of one video of a batch.

    Attributes:
        source: The video.
        target: Where it is written.
        status: "done", "exists" (the target was there before), "failed", or "waiting" until it is one of these.
        error: Why it failed, in one line.
        parts: The number of its segments.
        parts_kept: How many of them an earlier run had made.
        seconds: The seconds of all workers together; `seconds_...` are the seconds of each stage.

    The other attributes are those of `Report`.
    """

    source: str
    target: str
    status: str = "waiting"
    error: str = ""
    frames_in: int = 0
    frames_out: int = 0
    cuts: int = 0
    duplicates: int = 0
    static_share: float = 0.0
    computed_share: float = 0.0
    device: str = ""
    runtime: str = ""
    precision: str = ""
    parts: int = 0
    parts_kept: int = 0
    seconds: float = 0.0
    seconds_survey: float = 0.0
    seconds_read: float = 0.0
    seconds_convert: float = 0.0
    seconds_mask: float = 0.0
    seconds_network: float = 0.0
    seconds_fuse: float = 0.0
    seconds_write: float = 0.0
    seconds_join: float = 0.0
    damage: str = ""
    warnings: str = ""


class Table:
    """A file with the rows of a batch. It keeps the rows of earlier runs, also of videos that are not in this one.

    Args:
        path: A file with one of SUFFIXES.

    Raises:
        OptionError: The file has another suffix.
        MediaError: Its folder does not exist or cannot be written, or the file exists and is not the table of a batch.
    """

    def __init__(self, path: PathLike) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in SUFFIXES:
            raise OptionError(f"{self._path}: the result is written as {' or '.join(SUFFIXES)}")
        if not self._path.parent.is_dir():
            raise MediaError(f"{self._path}: there is no folder {self._path.parent}")
        if not os.access(self._path.parent, os.W_OK):
            raise MediaError(f"{self._path}: cannot be written (permission denied)")
        self._before = {row.target: row for row in self._read()}

    def write(self, rows: Sequence[Row]) -> None:
        """Replace the file: the rows of earlier runs in their places, then the new ones.

        Args:
            rows: The videos of this run. One with the status "exists" keeps the row of the run that made it.

        Raises:
            MediaError: The file cannot be written.
        """
        rows = [_printable(row) for row in rows]
        # Another batch may have written it meanwhile.
        self._before |= {row.target: row for row in self._read()}
        finished = {target for target, row in self._before.items() if row.status == "done"}
        new = {row.target: row for row in rows if row.status != "exists" or row.target not in finished}
        both = (self._before | new).values()
        table = pyarrow.Table.from_pylist([asdict(row) for row in both], schema=_schema())
        with written_whole(self._path) as partial:
            if self._path.suffix.lower() == ".csv":
                pyarrow.csv.write_csv(table, partial)
            else:
                pyarrow.parquet.write_table(table, partial)

    def _read(self) -> list[Row]:
        if not self._path.exists():
            return []
        try:
            if self._path.suffix.lower() == ".csv":
                types = pyarrow.csv.ConvertOptions(column_types=_schema())
                found = pyarrow.csv.read_csv(self._path, convert_options=types)
            else:
                found = pyarrow.parquet.read_table(self._path)
        except (pyarrow.ArrowInvalid, OSError):
            found = None
        if found is None or found.schema != _schema():
            raise MediaError(f"{self._path}: exists and is not the table of a batch")
        return [Row(**each) for each in found.to_pylist()]


def _printable(row: Row) -> Row:
    """A row that can be written as UTF-8: bytes of a file name that are no text become backslash escapes."""

    def printable(text: str) -> str:
        return text.encode("utf-8", "backslashreplace").decode()

    texts: dict[str, Any] = {
        name: printable(value) for name, value in asdict(row).items() if isinstance(value, str)
    }
    return replace(row, **texts)


def _schema() -> pyarrow.Schema:
    return pyarrow.schema([(field.name, TYPES[str(field.type)]) for field in fields(Row)])
