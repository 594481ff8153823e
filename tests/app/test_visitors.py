"""Whose files go when a visitor leaves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

from maskvfi.app.visitors import Visitors


def visitor(name: str) -> Any:
    """As much of a request as tells who sends it."""
    return SimpleNamespace(session_hash=name)


def test_an_upload_stays_until_the_last_who_has_it_leaves(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "mine.mp4"
    shared, own = root / "1" / "both.mp4", root / "2" / "own.mp4"
    for file in (shared, own, elsewhere):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a film")
    visitors = Visitors(root)
    visitors.session(visitor("a")).uploads |= {str(shared), str(own), str(elsewhere)}
    visitors.session(visitor("b")).uploads |= {str(shared)}
    visitors.leave(visitor("a"))
    assert [file.exists() for file in (shared, own, elsewhere)] == [True, False, True]
    visitors.leave(visitor("b"))
    assert list(root.iterdir()) == []
    assert elsewhere.exists()
