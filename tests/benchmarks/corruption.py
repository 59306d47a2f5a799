"""How many damaged frames get past checksum, attribution and plausibility with a wrong value.

Every trial is one poll on a bus whose battery was just heard correctly: the answer is damaged on its way
(1-8 flipped bits, lost, doubled bytes, two frames spliced), goes through the same framer, attribution and
gate as on a real bus, and is compared with what was sent.
"""

import random
from collections import Counter
from typing import Any

from jkbms_addon.battery.plausibility import Gate
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb.frames import Attributed, Attribution, Frame, Framer, built, decode
from jkbms_addon.wire.pb.modbus import LIVE, acknowledgement
from tests.conftest import captures

ADDRESS = 1


def damaged(data: bytes, other: bytes, kind: str, dice: random.Random) -> bytes:
    """The bytes as they might arrive."""
    if kind == "flipped":
        noisy = bytearray(data)
        for _ in range(dice.randint(1, 8)):
            noisy[dice.randrange(len(noisy))] ^= 1 << dice.randrange(8)
        return bytes(noisy)
    at = dice.randrange(len(data))
    length = dice.randint(1, 4)
    if kind == "lost":
        return data[:at] + data[at + length :]
    if kind == "doubled":
        return data[:at] + data[at : at + length] + data[at:]
    return data[:at] + other[at:]


KINDS = ("flipped", "lost", "doubled", "spliced")


def answers() -> list[tuple[bytes, bytes]]:
    """Pairs of a real live frame and the next one two seconds later, as the same battery would say it."""
    pairs = []
    for capture in captures("jk_pb"):
        if capture["kind"] != "frame02" or not capture["checksum_ok"] or capture["expected"].get("layout") == "24S":
            continue
        now = bytes.fromhex(capture["hex"])
        values: dict[str, Any] = decode(Frame(2, now, 0)).values
        if not values["cell_voltage"]:
            continue
        cells = [round(cell + 0.001, 3) for cell in values["cell_voltage"]]
        voltage = round(values["total_voltage"] + 0.001 * len(cells), 3)
        changed: dict[str, Any] = {
            "cell_voltage": cells,
            "_average": sum(cells) / len(cells),
            "total_voltage": voltage,
            "_voltage": voltage,
            "_power": abs(voltage * values["current"]),
            "total_runtime": values["total_runtime"] + 2,
        }
        pairs.append((now, built(2, changed, now)))
    return pairs


def verdict(before: bytes, arrived: bytes, truth: dict[str, Any]) -> str:
    """``wrong`` when something was believed that this battery did not say, else what became of it."""
    gate, framer, attribution = Gate(), Framer(), Attribution()
    first = decode(Frame(2, before, 0), ADDRESS)
    gate.admit(first, 0.0)
    gate.admit(first, 0.1)
    attribution.requested(ADDRESS, LIVE, 2.0)
    decided: list[Attributed] = []
    for event in [*framer.feed(arrived), *framer.flush()]:
        decided += attribution.event(event, 2.03)
    outcome = "no frame"
    for one in [*decided, *attribution.release()]:
        if one.address is None:
            continue
        try:
            reading = one.reading()
        except FrameError:
            continue
        outcome = gate.admit(reading, 2.03)
        if outcome == "accepted" and (one.address != ADDRESS or reading.values not in (truth, first.values)):
            return "wrong"
    return outcome


def corrupted(trials: int, seed: int = 1) -> dict[str, Counter[str]]:
    """Outcomes of so many trials, by kind of damage."""
    dice = random.Random(seed)
    material = answers()
    truths = [decode(Frame(2, later, 0)).values for _, later in material]
    ack = acknowledgement(ADDRESS, LIVE)
    found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for trial in range(trials):
        n = dice.randrange(len(material))
        before, later = material[n]
        kind = KINDS[trial % len(KINDS)]
        sent = later + ack
        other = (before if dice.random() < 0.5 else dice.choice(material)[0]) + ack
        arrived = damaged(sent, other, kind, dice)
        if arrived != sent:
            found[kind][verdict(before, arrived, truths[n])] += 1
    return found
