"""What became of every video, as rows of a table: CSV or Parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow
import pyarrow.csv
import pyarrow.parquet

TYPES = {"str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64()}
SUFFIXES = (".csv", ".parquet")


@dataclass(slots=True)
class Row:
    """A video of a batch.

    status: "done", "exists" (the target was there), "failed" (`error` says why, in a line), or "waiting" while it is
    not one of these. What follows is as in `Report`; parts are the segments it was made in, parts_kept those of an
    earlier run; the seconds are those of all workers together, by stage, and `seconds` their sum.
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
    """The file in which the rows stand; what an earlier run wrote there of finished videos stays.

    Raises ValueError for another suffix than SUFFIXES and for a file that is not such a table, and leaves that alone.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{self._path}: the result is written as {' or '.join(SUFFIXES)}")
        if not self._path.parent.is_dir():
            raise ValueError(f"{self._path}: there is no folder {self._path.parent}")
        self._before = {row.target: row for row in self._read() if row.status == "done"}

    def write(self, rows: Sequence[Row]) -> None:
        rows = [self._before.get(row.target, row) if row.status == "exists" else row for row in rows]
        table = pyarrow.Table.from_pylist([asdict(row) for row in rows], schema=_schema())
        part = self._path.with_name(f".{self._path.name}.part")
        if self._path.suffix.lower() == ".csv":
            pyarrow.csv.write_csv(table, part)
        else:
            pyarrow.parquet.write_table(table, part)
        os.replace(part, self._path)

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
            raise ValueError(f"{self._path}: exists and is not the table of a batch")
        return [Row(**each) for each in found.to_pylist()]


def _schema() -> pyarrow.Schema:
    return pyarrow.schema([(field.name, TYPES[str(field.type)]) for field in fields(Row)])
