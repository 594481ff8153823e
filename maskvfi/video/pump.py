"""Bounded queues with a thread at one end: `Prefetch` runs a generator ahead, `Worker` consumes behind."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R", bound="ReadAhead[Any]")
_END = object()


class Channel:
    """A queue of limited length that Ctrl-C cannot break.

    Every step is one call of C. In `queue.Queue` a signal can leave a lock that is never released, and then the process
    waits for ever where it should end.

    Args:
        depth: How many items may wait.
    """

    def __init__(self, depth: int) -> None:
        self._items: SimpleQueue[object] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(max(1, depth)):
            self._room.put(None)

    def put(self, item: object) -> None:
        """Add an item; wait while the queue is full."""
        self._room.get()
        self._items.put(item)

    def put_now(self, item: object) -> None:
        """Add an item even if the queue is full."""
        self._items.put(item)

    def get(self) -> object:
        """Take the oldest item; wait for one."""
        item = self._items.get()
        self._room.put(None)
        return item

    def clear(self) -> None:
        """Drop all items, and let whoever waits for room go on."""
        self._room.put(None)
        with suppress(Empty):
            while True:
                self._items.get_nowait()
                self._room.put(None)


class Prefetch(Generic[T]):
    """Iterate a generator in a thread of its own, which starts with the first iteration.

    What the generator raises is raised here, after the items before it.

    Args:
        items: The generator.
        depth: How many items it may be ahead.
        name: The thread's name.
    """

    def __init__(self, items: Generator[T, None, None], depth: int, name: str) -> None:
        self._items = items
        self._channel = Channel(depth)
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __iter__(self) -> Iterator[T]:
        if self._thread.ident is None:
            self._thread.start()
        while True:
            item = self._channel.get()
            if item is _END:
                self._channel.put_now(_END)
                if self._error is not None:
                    raise self._error
                return
            yield item  # type: ignore[misc]

    def close(self) -> None:
        """Stop the thread, also before the generator has ended. Then nothing runs the generator any more."""
        self._stopped = True
        while self._thread.is_alive():
            self._channel.clear()
            self._thread.join(0.01)
        self._channel.clear()
        self._channel.put_now(_END)

    def _run(self) -> None:
        # Ctrl-C can leave `start` before it knows that the thread lives. Then `close` did not wait for it.
        if self._stopped:
            return
        try:
            for item in self._items:
                self._channel.put(item)
                if self._stopped:
                    break
        except BaseException as error:
            self._error = error
        finally:
            self._items.close()
            self._channel.put_now(_END)


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
        self._channel = Channel(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def put(self, item: T) -> None:
        """Queue an item; wait while the queue is full."""
        if self._error is not None:
            raise self._error
        if self._thread.ident is None:
            self._thread.start()
        self._channel.put(item)

    def finish(self) -> None:
        """Wait until every item is consumed, and stop the thread."""
        self._end()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Drop the items that still wait, and stop the thread."""
        self._channel.clear()
        self._end()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._channel.put_now(_END)
            self._thread.join()

    def _run(self) -> None:
        while (item := self._channel.get()) is not _END:
            if self._error is None:
                try:
                    self._consume(item)  # type: ignore[arg-type]
                except BaseException as error:
                    self._error = error
