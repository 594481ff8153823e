"""The page has a widget for every option of the commands, but for those that could write any file."""

import html
from types import SimpleNamespace

import pytest
from clips import make_clip

import maskvfi

gradio = pytest.importorskip("gradio", reason="the page needs gradio: pip install 'maskvfi[ui]'")

from markdown_it import MarkdownIt  # noqa: E402

from maskvfi.app.facts import describe_videos  # noqa: E402
from maskvfi.app.interpolate_tab import InterpolateTab  # noqa: E402
from maskvfi.app.page import build_page  # noqa: E402
from maskvfi.app.pictures import PAINTED  # noqa: E402
from maskvfi.app.protect_tab import ProtectTab  # noqa: E402
from maskvfi.app.queue import FAILED, Job, Queue  # noqa: E402
from maskvfi.app.queue_tab import QueueTab  # noqa: E402
from maskvfi.app.visitors import Visitors, errors_on_page  # noqa: E402
from maskvfi.options import Options, ProtectOptions, option_fields  # noqa: E402
from maskvfi.video import muxer  # noqa: E402


@pytest.mark.parametrize(("tab", "group"), [(InterpolateTab, Options), (ProtectTab, ProtectOptions)])
def test_every_option_that_is_not_painted_has_a_widget(tab, group, tmp_path):
    with gradio.Blocks():
        made = tab(Visitors(tmp_path))
    of_command = {"encoder_options"}
    assert {*made.options, *PAINTED} == {each.name for each in option_fields(group)} - of_command


def test_no_two_widgets_have_the_same_id(tmp_path):
    with gradio.Blocks() as page:
        InterpolateTab(Visitors(tmp_path))
        ProtectTab(Visitors(tmp_path))
    ids = [block.elem_id for block in page.blocks.values() if block.elem_id]
    assert sorted(set(ids)) == sorted(ids)


def test_whoever_has_left_does_not_come_back_with_a_run_that_ends(tmp_path, monkeypatch):
    visitors, who = Visitors(tmp_path), SimpleNamespace(session_hash="a")
    with gradio.Blocks(), gradio.Tabs() as tabs, gradio.Tab():
        tab = QueueTab(visitors, tabs)
    monkeypatch.setattr(visitors.session(who).queue, "work", lambda: iter([None, None]))
    shown = tab.work(who)
    next(shown)
    visitors.leave(who)
    assert len(list(shown)) == 2
    assert not visitors._by_visitor


def test_a_page_that_has_lost_its_connection_makes_no_session(tmp_path):
    visitors, who = Visitors(tmp_path), SimpleNamespace(session_hash="a")
    with gradio.Blocks(), gradio.Tabs() as tabs, gradio.Tab():
        tab = QueueTab(visitors, tabs)
    visitors.session(who)
    visitors.leave(who)
    assert "Nothing is in the queue" in tab.look(who)
    with pytest.raises(gradio.Error, match="reload it"):
        tab.cancel_all(who)
    assert not visitors._by_visitor


@pytest.mark.parametrize("name", ["bob's clip.mp4", "1. a_b.mp4", "- one.mp4", "a <b> & c.mp4"])
def test_names_are_shown_as_they_are(tmp_path, name):
    lines, readable = describe_videos([str(make_clip(tmp_path / name)), str(tmp_path / "missing.mp4")])
    assert readable == [0]
    told = MarkdownIt().renderInline(lines.splitlines()[0])
    assert html.unescape(told).startswith(f"{name}: 64×48")
    assert "<li>" not in MarkdownIt().render(lines)


def test_a_wrong_setting_is_quoted_as_it_was_typed():
    with pytest.raises(gradio.Error, match=r"60\./1"), errors_on_page(""):
        raise ValueError("not '60./1'")


def test_jobs_that_are_added_while_others_are_cleared_stay(tmp_path):
    queue = Queue(tmp_path)
    old, new = Job("old", [], lambda *_: None), Job("new", [], lambda *_: None)
    queue.add([old])
    old.cancel()
    old.drop = lambda: queue.add([new])
    queue.clear()
    assert queue.jobs == [new]


def test_a_job_that_fails_says_nothing_of_frames_that_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(muxer, "SEGMENT", 8)
    source = make_clip(tmp_path / "a.mp4", times=40)

    def full(done: int, total: int | None) -> None:
        if done > 30:
            raise maskvfi.MediaError("b.mkv: no space left")

    def make(folder, progress, watch):
        return maskvfi.interpolate(source, folder / "b.mkv", vfi="blend", mask="off", progress=full)

    with pytest.raises(
        maskvfi.MediaError, match=r"no space left \(\d+ frames are kept, resume goes on there\)"
    ):
        make(tmp_path, None, None)
    job = Job("a.mp4", [source], make)
    job.work(tmp_path)
    assert (job.state, job.line) == (FAILED, "b.mkv: no space left")


def test_no_file_goes_by_its_age(tmp_path):
    """A run can last for days."""
    page, close = build_page(tmp_path)
    assert page.delete_cache is None
    close()
