"""Segments on the disk: what another run finds of them."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from maskvfi.errors import MediaError
from maskvfi.video.journal import EncodedPacket, Journal

FACTS = {"input": "a", "options": {"crf": 18}}


def coded(n: int) -> EncodedPacket:
    return EncodedPacket(bytes([n]) * 9, n, n, 1, n == 0)


def opened(folder, facts=FACTS, resume=True, overwrite=False) -> Journal:
    return Journal(folder / "a.mkv", facts, resume=resume, overwrite=overwrite)


@pytest.fixture
def two_segments(tmp_path):
    """The folder of a file of which two segments are made, and a packet of a third."""
    journal = opened(tmp_path, resume=False)
    for n in range(2):
        journal.add(coded(2 * n))
        journal.add(coded(2 * n + 1))
        journal.close_segment(2 * n + 2, {"at": n})
    journal.add(coded(9))
    journal.close()
    return tmp_path


def test_what_is_encoded_is_found_again(two_segments):
    journal = opened(two_segments)
    assert (journal.frames, journal.state) == (4, {"at": 1})
    assert list(journal.packets()) == [coded(n) for n in range(4)]
    hidden = {path.name for path in journal.folder.iterdir()}
    assert hidden == {
        "lock",
        "manifest.json",
        *(f"0000{n}.{kind}" for n in (0, 1) for kind in ("json", "packets")),
    }


@pytest.mark.parametrize("damage", ["00000.packets", "00000.json"])
def test_a_damaged_segment_is_made_again(two_segments, damage):
    (two_segments / ".a.mkv.unfinished" / damage).write_bytes(b"{")
    journal = opened(two_segments)
    assert (journal.frames, journal.numbers) == (0, {1})
    journal.put(0, [coded(0), coded(1)], 2, {"at": 0})
    assert journal.states() == [{"at": 0}, {"at": 1}]


def test_a_segment_whose_index_was_being_written_does_not_count(two_segments):
    folder = two_segments / ".a.mkv.unfinished"
    (folder / "00001.json").rename(folder / ".00001.abcd.partial.json")
    assert opened(two_segments).frames == 2
    assert not list(folder.glob(".*"))


def test_other_facts_cannot_be_resumed(two_segments):
    with pytest.raises(MediaError, match="cannot be resumed, options: crf was 18 and is 20"):
        opened(two_segments, {**FACTS, "options": {"crf": 20}})


def test_an_earlier_run_is_neither_lost_nor_continued_unasked(two_segments):
    with pytest.raises(MediaError, match="stopped after 4 frames of it"):
        opened(two_segments, resume=False)
    journal = opened(two_segments, resume=False, overwrite=True)
    assert (journal.frames, journal.numbers) == (0, set())
    assert json.loads((journal.folder / "manifest.json").read_text()) == {"format": 1, **FACTS}


def test_segments_that_do_not_fit_are_replaced_where_that_is_allowed(two_segments):
    journal = opened(two_segments, {"input": "b"}, overwrite=True)
    assert (journal.frames, journal.numbers) == (0, set())
    assert journal.replaced == "what an earlier run left cannot be resumed, input was a and is b: begun anew"


def test_a_segment_that_ends_elsewhere_is_dropped(two_segments):
    journal = opened(two_segments)
    assert journal.keep(0, frames=2)
    assert not journal.keep(1, frames=5)
    journal.close()
    assert opened(two_segments).frames == 2


def test_one_run_at_a_time(tmp_path):
    first = opened(tmp_path)
    with pytest.raises(MediaError, match="another run is making it"):
        opened(tmp_path)
    first.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no folder that root cannot write")
def test_a_folder_that_cannot_be_written_is_named_by_its_target():
    with pytest.raises(MediaError, match=r"^/proc/a\.mkv: cannot be written \([a-z ]+\)$"):
        opened(Path("/proc"))


@pytest.mark.parametrize("lock", ["before", "after"])
def test_ctrl_c_while_a_journal_is_opened_leaves_no_folder(tmp_path, monkeypatch, lock):
    acquire = FileLock.acquire

    def interrupted(self, **how):
        if lock == "after":
            acquire(self, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(FileLock, "acquire", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, resume=False)
    assert not list(tmp_path.iterdir())
