"""Cost of a reading of a first-generation BMS. ``measure`` is called by the benchmarks' main."""

from collections.abc import Callable

from jkbms_addon.protocols.legacy import Framer, readings
from tests.conftest import captures

Show = Callable[[str, float, str, float | None], None]
Microseconds = Callable[[Callable[[], object]], float]
CAPTURE = "resp-all-16s-11.26-arminjo-1"


def measure(show: Show, microseconds: Microseconds) -> None:
    """Print what it takes from the bytes of a whole table to its readings."""
    table = bytes.fromhex(next(capture["hex"] for capture in captures("jk_ttl") if capture["id"] == CAPTURE))
    framer = Framer()

    def whole() -> None:
        (frame,) = framer.feed(table)
        assert len(readings(frame, 1)) == 3

    show(f"decode of one table of the first generation, {len(table)} bytes", microseconds(whole), "us", 30)
