"""A thread that runs ahead of a reader: what Ctrl-C does to it while it starts."""

from __future__ import annotations

import threading

import pytest

from maskvfi.video.pump import Prefetch


def test_ctrl_c_while_the_thread_starts_leaves_a_generator_that_can_be_closed(monkeypatch):
    begun = []

    def numbers():
        begun.append(True)
        yield 1

    start = threading.Thread.start
    late = []

    def interrupted(thread: threading.Thread) -> None:
        late.append(thread)
        raise KeyboardInterrupt

    items = numbers()
    prefetch = Prefetch(items, 2, "numbers")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(iter(prefetch))
    prefetch.close()

    start(late[0])  # the thread that was about to run when the signal came
    late[0].join(10)
    items.close()  # as a reader does; a thread inside of the generator would make this a ValueError
    assert not begun


def test_a_generator_that_is_stopped_early_is_closed_in_its_thread():
    closed = threading.Event()

    def numbers():
        try:
            yield from range(1000)
        finally:
            closed.set()

    prefetch = Prefetch(numbers(), 2, "numbers")
    assert next(iter(prefetch)) == 0
    prefetch.close()
    assert closed.is_set()
