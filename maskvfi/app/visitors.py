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

    def session(self, request: gr.Request) -> Session:
        """The session of the visitor who sends a request; a new visitor gets a new one."""
        return self._by_visitor.setdefault(str(request.session_hash), Session(self._root))

    def leave(self, request: gr.Request) -> None:
        """End the session of a visitor who has closed the page, and delete what only this one has sent.

        The last one to leave takes all else along: pictures that were shown, and uploads that were broken off.
        """
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
        for session in self._by_visitor.values():
            session.queue.cancel_all()
        for session in self._by_visitor.values():
            session.queue.close()


@contextmanager
def errors_on_page(video: str) -> Iterator[None]:
    """Show an error about a video or a setting as one line on the page.

    Args:
        video: The path of the video; its folder is left out of the message.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(html.escape(one_line(error, video)), duration=None, print_exception=False) from None


def one_line(error: Exception, video: str) -> str:
    """What an error says of a video, on one line and without its folder."""
    return " ".join(str(error).replace(f"{Path(video).parent}/", "").split())
