"""Bounded queues with a thread at one end: `Prefetch` runs a generator ahead, `Worker` consumes behind."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R", bound="ReadAhead[Any]")
_END = object()


class Prefetch(Generic[T]):
    """Iterate a generator that runs in its own thread.

    What the generator raises is raised here, after the items before it.

    Args:
        items: The generator.
        depth: How many items it may be ahead.
        name: The thread's name.
    """

    def __init__(self, items: Generator[T, None, None], depth: int, name: str) -> None:
        self._items = items
        self._queue: queue.Queue[object] = queue.Queue(max(1, depth))
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if item is _END:
                self._queue.put(_END)
                if self._error is not None:
                    raise self._error
                return
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Stop the thread, also before the generator has ended."""
        self._stop.set()
        while self._thread.is_alive():
            _drain(self._queue)
            self._thread.join(0.01)
        _drain(self._queue)
        self._queue.put(_END)

    def _run(self) -> None:
        try:
            for item in self._items:
                self._queue.put(item)
                if self._stop.is_set():
                    break
        except BaseException as error:
            self._error = error
        finally:
            self._items.close()
            self._queue.put(_END)


class ReadAhead(ABC, Generic[T]):
    """A reader whose items a thread makes ahead. A `with` block ends the thread.

    Args:
        queue: How many items may wait.
    """

    def __init__(self, queue: int) -> None:
        self._depth = queue
        self._prefetch: Prefetch[T] | None = None

    @abstractmethod
    def _frames(self) -> Generator[T, None, None]:
        """The items, made in the thread."""

    def __iter__(self) -> Iterator[T]:
        if self._prefetch is None:
            self._prefetch = Prefetch(self._frames(), self._depth, "maskvfi-decode")
        return iter(self._prefetch)

    def close(self) -> None:
        """Stop decoding."""
        if self._prefetch is not None:
            self._prefetch.close()

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Worker(Generic[T]):
    """Call a function on every item in order, in a thread that starts with the first item.

    What the function raises is raised by the next `put` or by `finish`; the items after it are dropped.

    Args:
        consume: The function.
        depth: How many items may wait.
        name: The thread's name.
    """

    def __init__(self, consume: Callable[[T], None], depth: int, name: str) -> None:
        self._consume = consume
        self._queue: queue.Queue[object] = queue.Queue(max(1, depth))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def put(self, item: T) -> None:
        """Queue an item; wait while the queue is full."""
        if self._error is not None:
            raise self._error
        if self._thread.ident is None:
            self._thread.start()
        self._queue.put(item)

    def finish(self) -> None:
        """Wait until every item is consumed, and stop the thread."""
        self._end()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Drop the items that still wait, and stop the thread."""
        _drain(self._queue)
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(_END)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not _END:
            if self._error is None:
                try:
                    self._consume(item)  # type: ignore[arg-type]
                except BaseException as error:
                    self._error = error


def _drain(items: queue.Queue[object]) -> None:
    try:
        while True:
            items.get_nowait()
    except queue.Empty:
        return
