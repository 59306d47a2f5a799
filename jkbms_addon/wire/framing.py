"""The walk through a stream of bytes that all serial formats share: what is a message is for the format to say."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

Found = TypeVar("Found")


class StreamFramer(ABC, Generic[Found]):
    """Finds messages in a stream of bytes, in whatever pieces they come.

    Where no message begins the search goes on a little further, so that a good one right behind a truncated one
    is found. At most one unfinished message is kept.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self.received = 0
        self.junk = 0
        self.checksum_failures = 0

    @property
    def waiting(self) -> bool:
        """Whether the beginning of a message is held."""
        return bool(self._buffer)

    @property
    def unfinished(self) -> int:
        """How many bytes are held of a message that is not complete."""
        return len(self._buffer)

    @property
    def position(self) -> int:
        """How many bytes of the stream are decided on."""
        return self._offset

    def feed(self, data: bytes) -> list[Found]:
        """Messages that are complete with these bytes."""
        self.received += len(data)
        self._buffer += data
        return list(self._walk(final=False))

    def flush(self) -> list[Found]:
        """To be called after a silence: what is unfinished will not be completed."""
        return list(self._walk(final=True))

    def clear(self) -> None:
        """Forget an unfinished message (after the link was reopened)."""
        self._offset += len(self._buffer)
        self._buffer.clear()

    def _walk(self, *, final: bool) -> Iterator[Found]:
        position, buffer = 0, self._buffer
        try:
            while position < len(buffer):
                found = self._at(buffer, position)
                if found is None and not final:
                    break
                if found is None or found is False:
                    skipped = self._skip(buffer, position)
                    position += skipped
                    self.junk += skipped
                    continue
                position += self._size(found)
                yield found
        finally:
            del buffer[:position]
            self._offset += position

    @abstractmethod
    def _at(self, buffer: bytearray, position: int) -> Found | Literal[False] | None:
        """The message at a position, False when there is none, None when more bytes are needed."""

    @abstractmethod
    def _size(self, found: Found) -> int:
        """How many bytes a message takes."""

    @abstractmethod
    def _skip(self, buffer: bytearray, position: int) -> int:
        """How many bytes to go on from where no message begins; at least one."""
