"""The table of a batch, over several runs."""

import os
from pathlib import Path

import pytest

pytest.importorskip("ray")

import pyarrow.csv
import pyarrow.parquet

from maskvfi.batch.results import Row, Table


@pytest.mark.parametrize("name", ["result.csv", "result.parquet"])
def test_rows_of_earlier_runs_stay_in_their_places(tmp_path: Path, name: str):
    read = pyarrow.csv.read_csv if name.endswith(".csv") else pyarrow.parquet.read_table

    def after(*rows: Row) -> list[tuple[str, str, int]]:
        Table(tmp_path / name).write(rows)
        found = read(tmp_path / name).to_pylist()
        return [(row["target"], row["status"], row["frames_out"]) for row in found]

    after(Row("in/a", "a", "done", frames_out=7), Row("in/b", "b", "failed", error="why"))
    found = after(Row("in/c", "c", "done", frames_out=9))
    assert found == [("a", "done", 7), ("b", "failed", 0), ("c", "done", 9)]
    found = after(
        Row("in/a", "a", "exists"), Row("in/b", "b", "done", frames_out=3), Row("in/d", "d", "exists")
    )
    assert found == [("a", "done", 7), ("b", "done", 3), ("c", "done", 9), ("d", "exists", 0)]
    assert after(Row("in/a", "a", "waiting"))[0] == ("a", "waiting", 0)  # it is made anew


def test_a_name_that_is_no_text_is_written_as_escapes(tmp_path):
    table = Table(tmp_path / "done.csv")
    name = os.fsdecode(b"caf\xe9.mkv")
    table.write([Row(name, name, "done")])
    again = Table(tmp_path / "done.csv")
    again.write([Row(name, name, "exists")])
    assert (tmp_path / "done.csv").read_text().count("caf\\udce9.mkv") == 2


def test_a_warning_that_names_such_a_file_is_written_too(tmp_path):
    name = os.fsdecode(b"caf\xe9.mkv")
    Table(tmp_path / "done.csv").write([Row("a", "b", warnings=f"{name}: is cut off", damage=name)])
    (row,) = pyarrow.csv.read_csv(tmp_path / "done.csv").to_pylist()
    assert row["warnings"] == r"caf\udce9.mkv: is cut off"
