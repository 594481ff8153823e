"""The page has a widget for every option of the commands, but for those that could write any file."""

from types import SimpleNamespace

import pytest

gradio = pytest.importorskip("gradio", reason="the page needs gradio: pip install 'maskvfi[ui]'")

from maskvfi.app.interpolate_tab import InterpolateTab  # noqa: E402
from maskvfi.app.page import build_page  # noqa: E402
from maskvfi.app.pictures import PAINTED  # noqa: E402
from maskvfi.app.protect_tab import ProtectTab  # noqa: E402
from maskvfi.app.queue_tab import QueueTab  # noqa: E402
from maskvfi.app.visitors import Visitors  # noqa: E402
from maskvfi.options import Options, ProtectOptions, option_fields  # noqa: E402


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


def test_no_file_goes_by_its_age(tmp_path):
    """A run can last for days."""
    page, close = build_page(tmp_path)
    assert page.delete_cache is None
    close()
