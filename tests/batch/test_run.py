"""Many videos by many workers, on a real Ray: the frames of single runs, whatever happens to the workers."""

import csv
import os
import re
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import fsspec
import pytest
import torch
from clips import make_clip
from commands import run as run_code

import maskvfi
from maskvfi.video import muxer

ray = pytest.importorskip("ray")

from maskvfi.batch import batch, run  # noqa: E402
from maskvfi.batch.jobs import Job, find_jobs  # noqa: E402
from maskvfi.batch.results import Row  # noqa: E402
from maskvfi.batch.run import _checked  # noqa: E402
from maskvfi.batch.storage import deliver, fetched, work_path  # noqa: E402
from maskvfi.options import Options  # noqa: E402
from maskvfi.video.journal import Journal  # noqa: E402
from maskvfi.weights.locate import find_weights  # noqa: E402

HOW = {"codec": "ffv1", "vfi": "blend", "mask": None, "device": "cpu"}


def packets(path: Path) -> list[tuple[int, int | None, int | None, int | None, bytes]]:
    """Of all streams: their times, and with ffv1 each frame whole."""
    with av.open(str(path)) as container:
        return [(p.stream.index, p.pts, p.dts, p.duration, bytes(p)) for p in container.demux() if p.size]


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", autouse=True)
def two_cores():
    """Each of two workers has one core, and single runs compute with one thread too: sums are added in equal order."""
    threads, segment = torch.get_num_threads(), muxer.SEGMENT
    torch.set_num_threads(1)
    muxer.SEGMENT = 8
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
    muxer.SEGMENT = segment
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two videos that are good, one that is none, one in an archive, and a table of them all."""
    folder = tmp_path_factory.mktemp("library")
    make_clip(folder / "a.mkv", times=40, audio="aac", size=(96, 64))
    make_clip(folder / "b.mkv", times=10, size=(64, 48))
    (folder / "bad.mkv").write_bytes(b"no video" * 100)
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(folder / "b.mkv", "inside.mkv")
    archived = f"zip://inside.mkv::file://{folder}/archive.zip"
    lines = [["source", "target"], ["a.mkv", ""], ["bad.mkv", ""], ["b.mkv", "memory://far/away/b.mkv"]]
    with (folder / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*lines, [archived, "sub/c.mkv"]])
    return folder


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    """What grows for targets elsewhere grows here, not in the cache of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKVFI_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def made(folder, two_cores) -> dict[str, object]:
    """A batch of the table, one of whose workers is killed once a segment of a.mkv is there."""
    killed: list[int] = []
    seen = []

    def kill_one(summary) -> None:
        seen.append(summary)
        if summary.parts >= 1 and not killed:
            killed.append(summary.workers[0][1])
            os.kill(killed[0], signal.SIGKILL)

    table, before = folder / "result.csv", copies()
    rows = batch(
        [str(folder / "all.csv")], str(folder / "out"), workers=2, result=table, progress=kill_one, **HOW
    )
    return {"copies": before, "rows": rows, "table": table, "killed": killed, "seen": seen}


def copies() -> set[Path]:
    """What workers have copied of the video in the archive."""
    return {*Path(tempfile.gettempdir()).glob("maskvfi-*/inside.mkv")}


def whole(folder: Path, name: str) -> Path:
    target = folder / "single" / name
    target.parent.mkdir(exist_ok=True)
    maskvfi.interpolate(folder / name, target, overwrite=True, **HOW)
    return target


def test_frames_times_and_sound_are_those_of_a_single_run(folder, made):
    found = packets(folder / "out" / "a.mkv")
    assert found == packets(whole(folder, "a.mkv"))
    assert {stream for stream, *_ in found} == {0, 1}


def test_copies_of_a_video_elsewhere_are_deleted(made):
    assert copies() == made["copies"]


def test_a_killed_worker_is_replaced(made):
    assert made["killed"]
    assert made["seen"][-1].lost == 1
    assert made["killed"][0] not in [process for _, process in made["seen"][-1].workers]
    assert made["rows"][0].status == "done"


def test_a_source_in_another_file_system_and_a_target_there(folder, made):
    single = packets(whole(folder, "b.mkv"))
    assert packets(folder / "out" / "sub" / "c.mkv") == single
    memory = fsspec.filesystem("memory")
    assert memory.ls("/far/away", detail=False) == ["/far/away/b.mkv"]
    (folder / "fetched.mkv").write_bytes(memory.cat_file("/far/away/b.mkv"))
    assert packets(folder / "fetched.mkv") == single


def test_a_bad_file_is_a_row_and_leaves_nothing(folder, made):
    row = made["rows"][1]
    assert row.status == "failed"
    assert "bad.mkv: cannot be read as a video" in row.error
    assert sorted(path.name for path in (folder / "out").rglob("*")) == ["a.mkv", "c.mkv", "sub"]


def test_the_table_says_what_the_rows_say(folder, made):
    written = rows_of(made["table"])
    assert [row["status"] for row in written] == ["done", "failed", "done", "done"]
    report = maskvfi.interpolate(folder / "a.mkv", folder / "again.mkv", **HOW)
    row = made["rows"][0]
    for name in ("frames_in", "frames_out", "cuts", "duplicates", "static_share", "computed_share", "device"):
        assert getattr(row, name) == pytest.approx(getattr(report, name)), name
    assert int(written[0]["parts"]) == 10
    assert float(written[0]["seconds_network"]) > 0


def test_every_warning_is_a_row_s_once():
    video = run._Video(Job("a.mkv", "b.mkv"), Row("a.mkv", "b.mkv"))
    for lines in (["of the first part"], ["of the survey", "of the first part"], [], ["of the join"]):
        video.warn(lines)
    assert video.row.warnings == "of the first part; of the survey; of the join"


def test_a_segment_that_cannot_be_stored_fails_its_video_alone(folder, tmp_path, monkeypatch):
    whole_put = Journal.put

    def put(journal: Journal, number: int, *rest) -> None:
        if "a.mkv" in journal.folder.name and number == 1:
            raise maskvfi.MediaError("no space left")
        whole_put(journal, number, *rest)

    monkeypatch.setattr(Journal, "put", put)
    rows = batch([str(folder / name) for name in ("a.mkv", "b.mkv")], str(tmp_path), workers=1, **HOW)
    assert [(row.status, row.error) for row in rows] == [("failed", "no space left"), ("done", "")]


def test_a_video_from_elsewhere_is_named_by_its_address():
    """Its copy is gone when somebody reads the line."""
    place = "memory://far/bad.mkv"
    fsspec.filesystem("memory").pipe_file("/far/bad.mkv", b"no video" * 100)
    with pytest.raises(maskvfi.MediaError) as error, fetched(place) as copy:
        maskvfi.interpolate(copy, copy.with_suffix(".mp4"))
    assert str(error.value).startswith(f"{place}: cannot be read as a video")


def test_a_film_that_cannot_be_uploaded_stays_and_the_next_run_makes_no_part_again(folder, monkeypatch):
    memory, place = type(fsspec.filesystem("memory")), "memory://far/upload/b.mkv"
    film = work_path(place)

    def refuse(*_, **__) -> None:
        raise PermissionError("the token is too old")

    with monkeypatch.context() as broken:
        broken.setattr(memory, "put_file", refuse)
        (row,) = batch([str(folder / "b.mkv")], "memory://far/upload", workers=1, **HOW)
    assert row.status == "failed"
    assert row.error.endswith(f"(the token is too old); the whole film is {film}")
    assert packets(film) == packets(whole(folder, "b.mkv"))
    (row,) = batch([str(folder / "b.mkv")], "memory://far/upload", workers=1, **HOW)
    assert (row.status, row.parts_kept) == ("done", row.parts)
    assert not film.parent.exists()
    film = work_path(place)
    film.write_bytes(b"a whole film")
    with pytest.raises(maskvfi.MediaError, match="exists already, and overwrite is not set"):
        deliver(film, place, overwrite=False)
    assert not film.exists()
    assert memory().ls("/far/upload", detail=False) == ["/far/upload/b.mkv"]


def test_what_is_there_is_left_alone(folder, made):
    """No worker is even started: all targets but the bad one's exist, and that is left out."""
    table = folder / "only.csv"
    table.write_text("source,target\na.mkv,\n")
    before = (folder / "out" / "a.mkv").stat()
    (row,) = batch([str(table)], str(folder / "out"), result=made["table"], **HOW)
    assert row.status == "exists"
    assert (folder / "out" / "a.mkv").stat() == before
    written = rows_of(made["table"])
    assert written[0]["frames_out"] == "79"
    assert [row["status"] for row in written] == ["done", "failed", "done", "done"]


def test_after_an_interruption_only_the_rest_is_made(folder, made):
    def interrupt(summary) -> None:
        if summary.parts >= 4:
            raise KeyboardInterrupt

    out = folder / "interrupted"
    with pytest.raises(KeyboardInterrupt, match="0 of 1 videos are finished, the same command goes on"):
        batch([str(folder / "a.mkv")], str(out), workers=2, progress=interrupt, **HOW)
    kept = len(list((out / ".a.mkv.unfinished").glob("[0-9]*.json")))
    assert kept >= 4
    assert not (out / "a.mkv").exists()
    seen = []
    (row,) = batch(
        [str(folder / "a.mkv")], str(out), workers=2, progress=seen.append, result=folder / "r.parquet", **HOW
    )
    assert (row.status, row.parts, row.parts_kept) == ("done", 10, kept)
    assert seen[-1].parts == 10 - kept
    assert packets(out / "a.mkv") == packets(whole(folder, "a.mkv"))
    assert [path.name for path in out.iterdir()] == ["a.mkv"]
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(folder / "r.parquet").to_pylist()[0]["parts_kept"] == kept


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["empty"], "empty: holds no video"),
        (["*.nothing"], "*.nothing: no file is called so"),
        (["a.mkv", "other/a.mkv"], "would be made of both a.mkv and other/a.mkv"),
        (["rows.csv"], "rows.csv: row 3 (the heading is row 1) has the target x.mkv and no source"),
        (["a.mkv", "--result", "r.txt"], "r.txt: the result is written as .csv or .parquet"),
        (["a.mkv", "--result", "all.csv"], "all.csv: exists and is not the table of a batch"),
        (["a.mkv", "--factor", "0"], "factor must be a whole number of at least 1"),
        (["nowhere://a/b.mkv"], "cannot be reached"),
        (["columns.csv"], "columns.csv: has no column called source, its columns are: source;target"),
        (["typo.csv"], "typo.csv: has a column called targt: is target meant?"),
        (["comma.csv"], "comma.csv: row 4 (the heading is row 1) has 3 cells under 2 columns"),
        (["twice.csv"], "twice.csv: has two columns called source"),
        (["none.csv", ""], "a source has no name"),
        (["bare.csv"], "bare.csv: has no row under its heading"),
        (["zero.csv"], "zero.csv: is not a CSV table (it has bytes of zero)"),
        (["open.csv"], "open.csv: is not a CSV table (unexpected end of data)"),
        (["wide.csv"], "wide.csv: is not a CSV table (field larger than field limit"),
    ],
)
def test_what_is_asked_wrongly_is_one_line_before_any_work(folder, monkeypatch, arguments, line):
    from typer.testing import CliRunner

    from maskvfi.cli.main import app

    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "other").mkdir(exist_ok=True)
    shutil.copy(folder / "a.mkv", folder / "other" / "a.mkv")
    (folder / "rows.csv").write_text("source,target\na.mkv,y.mkv\n,x.mkv\n")
    (folder / "wide.csv").write_text("source\n" + "a" * 200_000)
    (folder / "columns.csv").write_text("source;target\na.mkv;b.mkv\n")
    (folder / "typo.csv").write_text("source,targt\na.mkv,b.mkv\n")
    (folder / "comma.csv").write_text("source,target\na.mkv,x.mkv\n\na, b.mkv,y.mkv\n")
    (folder / "twice.csv").write_text("source,source\na.mkv,b.mkv\n")
    (folder / "bare.csv").write_text("source,target\n,\n")
    (folder / "zero.csv").write_text("source\na\0.mkv\n")
    (folder / "open.csv").write_text('source\n"a.mkv\n')
    done = CliRunner().invoke(app, ["batch", *arguments, "--out", "nothing"])
    assert isinstance(done.exception, ValueError | maskvfi.MediaError)
    assert line in str(done.exception)
    assert not (folder / "nothing").exists()


def test_a_table_is_read_as_people_write_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text('\ufeffSource, Target,note\na.mkv, x.mkv,1\n\nb.mkv, "y, z.mkv"\nc.mkv\n')
    assert [(Path(job.source).name, job.target) for job in find_jobs(["t.csv"], "out")] == [
        ("a.mkv", "out/x.mkv"),
        ("b.mkv", "out/y, z.mkv"),
        ("c.mkv", "out/c.mkv"),
    ]


def test_no_folder_for_results_is_not_this_one():
    with pytest.raises(maskvfi.OptionError, match="the folder for results has no name"):
        find_jobs(["a.mkv"], "")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "clips" / "secret").mkdir(parents=True)
    listed = os.scandir

    def refused(path="."):
        if "secret" in os.fspath(path):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(maskvfi.MediaError, match=r"secret: cannot be read \(permission denied\)"):
        find_jobs([str(tmp_path / "clips")], str(tmp_path / "out"))


def test_what_another_batch_has_made_meanwhile_is_there(folder, tmp_path):
    """As with `exists` before the start: it is left alone, and nothing hidden stays."""
    target = tmp_path / "out" / "a.mkv"

    def made_by_another(summary):
        if target.parent.is_dir() and not target.exists():
            target.write_bytes(b"made by another")

    (row,) = batch(
        [folder / "a.mkv"], tmp_path / "out", workers=1, progress=made_by_another, vfi="blend", mask=None
    )
    assert (row.status, row.error) == ("exists", "")
    assert [path.name for path in target.parent.iterdir()] == ["a.mkv"]


def test_no_workers_make_nothing(folder, tmp_path):
    with pytest.raises(maskvfi.OptionError, match="workers must be at least 1, not 0"):
        batch([folder / "a.mkv"], tmp_path / "out", workers=0)


def test_videos_are_found_whatever_the_place_of_the_results(tmp_path):
    (tmp_path / "films" / "done").mkdir(parents=True)
    for name in ("a.mp4", "done/b.mp4"):
        (tmp_path / "films" / name).touch()

    def found(*sources: str, out: str) -> list[str]:
        jobs = find_jobs([str(tmp_path / source) for source in sources], str(tmp_path / out))
        return [os.path.relpath(job.target, tmp_path) for job in jobs]

    assert found("films", out="films/done") == ["films/done/a.mp4"]  # not the results of the run before
    assert found("films", out=".") == ["a.mp4", "done/b.mp4"]
    assert found("films/done", "films/done/b.mp4", out="out") == ["out/b.mp4"]


def test_a_folder_that_is_called_like_weights_is_no_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vfi-s").mkdir()
    (tmp_path / "mine").mkdir()
    shutil.copy(find_weights("vfi-s"), tmp_path / "mine" / "model.safetensors")
    assert _checked(Options(vfi="vfi-s")).vfi == "vfi-s"
    assert _checked(Options(vfi="mine")).vfi == str(tmp_path / "mine")


def test_no_result_replaces_a_source_of_the_batch(folder, tmp_path):
    for name in ("a.mkv", "b.mkv"):
        (tmp_path / name).write_bytes((folder / "b.mkv").read_bytes())
    (tmp_path / "links").symlink_to(tmp_path)
    (tmp_path / "chain.csv").write_text("source,target\na.mkv,links/b.mkv\nb.mkv,c.mkv\n")
    line = r"links/b\.mkv: is a source of this batch, and the result of .*a\.mkv would replace it"
    with pytest.raises(maskvfi.OptionError, match=line):
        batch([str(tmp_path / "chain.csv")], str(tmp_path), overwrite=True, **HOW)
    assert (tmp_path / "b.mkv").read_bytes() == (folder / "b.mkv").read_bytes()
    assert not (tmp_path / "c.mkv").exists()


def test_a_source_may_have_two_results_and_a_name_with_colons(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x::y.mkv").write_bytes((folder / "b.mkv").read_bytes())
    Path("twice.csv").write_text("source,target\nx::y.mkv,1::2.mkv\nx::y.mkv,3.mkv\n")
    rows = batch(["twice.csv", "x::y.mkv"], "out", workers=1, **HOW)
    assert [row.status for row in rows] == ["done"] * 3
    assert sorted(path.name for path in Path("out").iterdir()) == ["1::2.mkv", "3.mkv", "x::y.mkv"]
    assert packets(tmp_path / "out" / "1::2.mkv") == packets(tmp_path / "out" / "3.mkv")


def test_without_ray_a_line_says_what_to_install():
    code = "import sys; sys.modules['ray'] = None; from maskvfi.cli.main import main; main()"
    done = run_code("batch", "a.mkv", "--out", "b", code=code)
    assert done.returncode == 2
    assert re.fullmatch(rb"maskvfi: batch needs ray: pip install .*'ray\[data\]>=.*\n", done.stderr)


@pytest.mark.parametrize("out", ["clips/out", "clips/../clips/out", "link"])
def test_results_are_no_sources_however_their_folder_is_written(tmp_path, monkeypatch, out):
    (tmp_path / "clips" / "out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "clips" / "out")
    for name in ("clips/a.mp4", "clips/out/a.mp4"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert [Path(job.source) for job in find_jobs(["clips"], out)] == [tmp_path / "clips" / "a.mp4"]
    assert [job.source for job in find_jobs(["clips/*"], out)] == [str(tmp_path / "clips" / "a.mp4")]
    assert [Path(job.source) for job in find_jobs(["clips/**"], out)] == [tmp_path / "clips" / "a.mp4"]


def test_a_worker_that_cannot_be_started_is_one_line(folder, tmp_path, monkeypatch):
    def describe(_):
        os._exit(1)

    monkeypatch.setattr("maskvfi.batch.workers.Worker.describe", describe)
    with pytest.raises(ConnectionError, match="a worker cannot be started"):
        batch([folder / "a.mkv"], tmp_path / "out", workers=1, **HOW)
