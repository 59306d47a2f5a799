"""A frame of classic CAN, as every format and link here means it."""

from typing import NamedTuple


class Frame(NamedTuple):
    """A data frame of classic CAN."""

    can_id: int
    extended: bool
    data: bytes


Frames = tuple[Frame, ...]
