"""Looking at what passes on an open link. Pure."""

from collections.abc import Callable
from typing import ClassVar, Generic, Literal, TypeVar

Direction = Literal["rx", "tx"]
Medium = Literal["bytes", "frames"]
T = TypeVar("T")
Tap = Callable[[Direction, T], None]  # gets what comes or goes, at the moment when it does


class Tapped(Generic[T]):
    """A link that shows what passes on it: pieces of a stream of bytes, or frames of CAN."""

    medium: ClassVar[Medium]

    def __init__(self) -> None:
        self.taps: list[Tap[T]] = []

    def passed(self, direction: Direction, data: T) -> None:
        """Show something to all who look."""
        for tap in self.taps:
            tap(direction, data)
