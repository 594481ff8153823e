"""Where the bytes of a file go until it is whole."""

import errno
import io
import os
import re
from pathlib import Path

import pytest
from clips import make_clip

import maskvfi
from maskvfi.errors import MediaError
from maskvfi.video import VideoWriter, muxer
from maskvfi.video.target import Target


def test_a_hidden_file_takes_the_name_or_disappears(tmp_path):
    path = tmp_path / "a.mp4"
    for whole in (True, False):
        target = Target(path, overwrite=True)
        hidden = tmp_path / target.sink.rpartition("/")[2]
        assert hidden.name.startswith(".a.")
        assert hidden.suffix == ".mp4"
        hidden.write_bytes(b"new" if whole else b"newer")
        target.publish() if whole else target.discard()
        assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
        assert path.read_bytes() == b"new"


def test_a_file_that_exists_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(MediaError, match=r"a\.mp4: exists already, and overwrite is not set"):
        Target(path, overwrite=False)


@pytest.fixture(params=["hard links", "no hard links"])
def links(request, monkeypatch):
    """The file system with hard links, and as one without them."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param == "no hard links":
        monkeypatch.setattr(os, "link", refused)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("journal", [False, True])
def test_what_takes_the_name_meanwhile_stays_and_the_result_is_kept(tmp_path, journal):
    path = tmp_path / "a.mkv"
    target = Target(path, overwrite=False)
    kept_journal = target.open_journal({"input": "x"}, resume=False) if journal else None
    target.hidden.write_bytes(b"ours")
    path.write_bytes(b"theirs")
    line = r"a\.mkv: exists by now, and overwrite is not set; the whole result is kept as (.*)"
    with pytest.raises(MediaError, match=line) as refused:
        target.publish()
    target.discard()
    if kept_journal is not None:
        kept_journal.close()
    assert path.read_bytes() == b"theirs"
    assert Path(re.search(line, str(refused.value))[1]).read_bytes() == b"ours"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.usefixtures("links")
def test_a_new_file_gets_its_name_and_no_other(tmp_path):
    target = Target(tmp_path / "a.mkv", overwrite=False)
    target.hidden.write_bytes(b"ours")
    target.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
    assert (tmp_path / "a.mkv").read_bytes() == b"ours"


def test_a_name_that_cannot_be_given_leaves_no_empty_file(tmp_path, monkeypatch):
    rename = os.replace

    def failing(source: Path, path: Path) -> None:
        if path.name == "a.mkv":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, path)

    monkeypatch.setattr(os, "replace", failing)
    monkeypatch.setattr(os, "link", failing)
    target = Target(tmp_path / "a.mkv", overwrite=False)
    target.hidden.write_bytes(b"ours")
    with pytest.raises(MediaError, match=r"a\.mkv: cannot be written .*; the whole result is kept as"):
        target.publish()
    assert not (tmp_path / "a.mkv").exists()


def test_with_a_journal_the_file_grows_in_its_folder(tmp_path):
    target = Target(tmp_path / "a.mkv", overwrite=False)
    journal = target.open_journal({"input": "x"}, resume=False)
    assert target.sink == f"file:{journal.folder}/whole.mkv"
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_object_is_written_directly_and_has_no_journal():
    file = io.BytesIO()
    target = Target(file, overwrite=False)
    assert target.sink is file
    assert target.name == "stream"
    assert target.open_journal({}, resume=False) is None


@pytest.mark.parametrize("length", [100, 230, 240, 255])
def test_a_name_may_be_as_long_as_files_have_it(tmp_path, length):
    name = "\u65e5" * ((length - 4) // 3) + ".mkv"
    name = "x" * (length - len(name.encode())) + name
    target = tmp_path / name
    make_clip(tmp_path / "in.mkv", times=4, size=(64, 48))
    maskvfi.interpolate(tmp_path / "in.mkv", target, vfi="blend", mask="off", device="cpu")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "in.mkv", target])


def test_a_stop_while_the_file_is_completed_says_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(muxer, "SEGMENT", 8)
    make_clip(tmp_path / "in.mkv", times=24, size=(64, 48))

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoWriter, "_warn_of_moved_frames", stop)
    with pytest.raises(KeyboardInterrupt, match="frames are kept, resume goes on there"):
        maskvfi.interpolate(tmp_path / "in.mkv", tmp_path / "out.mkv", vfi="blend", mask="off", device="cpu")
