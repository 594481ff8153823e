"""Who is on the page: a session for each visitor."""

from __future__ import annotations

import html
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

from maskvfi.app.session import Session

_BROKEN_OFF = 60  # seconds without a byte, after which an upload is not waited for


class Visitors:
    """The sessions of all visitors.

    Args:
        root: The folder for results.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_visitor: dict[str, Session] = {}
        self._gone: set[str] = set()  # a page that has lost its connection may go on asking

    def session(self, request: gr.Request) -> Session:
        """The session of the visitor who sends a request; a new visitor gets a new one.

        Raises:
            gr.Error: The visitor has left, and what was sent is deleted.
        """
        if self.has_left(request):
            raise gr.Error("the connection to this page was lost: reload it", print_exception=False)
        return self._by_visitor.setdefault(str(request.session_hash), Session(self._root))

    def has_left(self, request: gr.Request) -> bool:
        """Whether the visitor's session has ended."""
        return str(request.session_hash) in self._gone

    def leave(self, request: gr.Request) -> None:
        """End the session of a visitor who has closed the page, and delete what only this one has sent.

        The last one to leave takes all else along: pictures that were shown, and uploads that were broken off.
        """
        self._gone.add(str(request.session_hash))
        if session := self._by_visitor.pop(str(request.session_hash), None):
            session.queue.close()
            others = [set(other.uploads) for other in list(self._by_visitor.values())]
            for upload in session.uploads.difference(*others):  # equal videos are one file
                if Path(upload).resolve().is_relative_to(self._root.resolve()):
                    Path(upload).unlink(missing_ok=True)
            if not others:
                for stored in self._root.iterdir():
                    if stored.is_dir():
                        shutil.rmtree(stored, ignore_errors=True)
                    elif time.time() - stored.stat().st_mtime > _BROKEN_OFF:
                        stored.unlink(missing_ok=True)

    def close(self) -> None:
        """End all sessions."""
        sessions = list(self._by_visitor.values())
        for session in sessions:
            session.queue.cancel_all()
        for session in sessions:
            session.queue.close()


@contextmanager
def errors_on_page(video: str) -> Iterator[None]:
    """Show an error about a video or a setting as one line on the page.

    Args:
        video: The path of the video, whose folder is left out of the message; empty where it is about none.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(html.escape(one_line(error, video)), duration=None, print_exception=False) from None


def one_line(error: Exception, video: str) -> str:
    """What an error says of a video, on one line and without its folder."""
    text = str(error).replace(f"{Path(video).parent}/", "") if video else str(error)
    return " ".join(text.split())
