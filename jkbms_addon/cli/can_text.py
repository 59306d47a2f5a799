"""``decode --format can``: text of candump to what each frame says.

Which way the current counts is decided for the whole text beforehand, as the first lines need not tell it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from jkbms_addon.battery.reading import Reading
from jkbms_addon.doctor.can import reading
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.candump import Captured, candump, identified
from jkbms_addon.wire.jkcan.frames import Version
from jkbms_addon.wire.jkcan.kinds import BATT_ST1, CELL_TEMP, DISCHARGE_TIME, EXTENDED, PLACES, V2_ONLY

Who = tuple[str, int]  # channel and address
_PROOFS: Final = frozenset(kind.name for kind in V2_ONLY)
BEGINNING: Final = 20  # lines that tell what a text is
ENOUGH: Final = 10  # frames of BATT_ST1 whose number tells something
PACE: Final = 12  # BATT_ST1 to one CELL_TEMP; V1 sends 5, V2 25


def is_candump(text: str) -> bool:
    """Whether a text begins like a log of candump; its first lines may be remote or error frames."""
    first = [line for line in text.splitlines()[:BEGINNING] if line.strip()]
    return any(candump(line) for line in first)


def can(text: str) -> Iterator[Reading | str]:
    """What every frame of a JK BMS says, and why a line was skipped."""
    lines = [(number, line, candump(line)) for number, line in enumerate(text.splitlines(), 1)]
    known = versions([frame for _, _, frame in lines if frame])
    unsigned: set[int] = set()
    for number, line, frame in lines:
        if frame is None:
            if line.strip():
                yield f"line {number}: no data frame: {line.strip()}"
            continue
        outcome = _said(frame, known)
        if isinstance(outcome, str):
            yield f"line {number}: {outcome}"
            continue
        if outcome.kind == BATT_ST1.name and outcome.values["current"] is None and outcome.address is not None:
            unsigned.add(outcome.address)
        yield outcome
    for address in sorted(unsigned):
        yield f"current of BMS {address}: these frames do not tell V1 from V2, and so not its sign"


def _said(captured: Captured, known: dict[Who, Version]) -> Reading | str:
    frame = Frame(captured.can_id, captured.extended, captured.data)
    try:
        found = reading(frame, known.get((captured.channel, _address(captured) or 0)))
    except FrameError as error:
        return f"{identified(frame)}: {error}"
    return found or f"{identified(frame)}: no frame of a JK BMS"


def _place(frame: Captured) -> tuple[str, int | None]:
    """Name of the kind of a frame and its address."""
    kind, address = PLACES.get(frame.can_id | EXTENDED if frame.extended else frame.can_id, (None, None))
    return (kind.name if kind else "", address)


def _address(frame: Captured) -> int | None:
    return _place(frame)[1]


def versions(frames: Iterable[Captured]) -> dict[Who, Version]:
    """Version of each BMS as far as it can be told from all its frames.

    V2 has frames of its own and addresses; V1 sends CELL_TEMP five times as often and, as V1.02, the time of
    discharge where V2 sends zeros.
    """
    counts: dict[Who, Counter[str]] = {}
    for frame in frames:
        name, address = _place(frame)
        if address is None:
            continue
        count = counts.setdefault((frame.channel, address), Counter())
        count[name] += 1
        if name == BATT_ST1.name and len(frame.data) >= DISCHARGE_TIME.size and any(frame.data[6:8]):
            count["hours"] += 1
    found = {who: version for who, count in counts.items() if (version := _version(who[1], count))}
    certain = {channel for (channel, _), version in found.items() if version == 2}
    return found | {who: 2 for who in counts if who not in found and who[0] in certain}


def _version(address: int, count: Counter[str]) -> Version | None:
    if address or any(count[name] for name in _PROOFS):
        return 2
    status, temperatures = count[BATT_ST1.name], count[CELL_TEMP.name]
    if count["hours"]:
        return 1
    if status >= ENOUGH and temperatures:
        return 1 if status / temperatures < PACE else 2
    return None
