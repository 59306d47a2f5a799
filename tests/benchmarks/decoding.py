"""What it takes from bytes to readings, for every wire format, and how much of that the plainest code would need."""

from collections.abc import Callable
from itertools import count, cycle
from typing import Any

from jkbms_addon.bank.membership import Membership
from jkbms_addon.battery.plausibility import Gate
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.dialects.pylontech import PYLONTECH
from jkbms_addon.inverter.state import said
from jkbms_addon.simulator.can import can_bms
from jkbms_addon.wire.jkcan import frames as jkcan
from jkbms_addon.wire.jkcan.kinds import BATT_ST1
from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.pb import tables
from jkbms_addon.wire.pb.frames import Attribution, Frame
from jkbms_addon.wire.pb.modbus import LIVE, acknowledgement
from jkbms_addon.wire.ttl import frames as legacy
from tests.bank.packs import SETTINGS, values
from tests.benchmarks import floor
from tests.benchmarks.figures import Action, against, microseconds, show
from tests.conftest import captures

PB_FRAME = bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "rs485-16s-discharging"))
TTL_TABLE = bytes.fromhex(next(c["hex"] for c in captures("jk_ttl") if c["id"] == "resp-all-16s-11.26-arminjo-1"))
CAN_FRAME = jkcan.encoded(BATT_ST1, can_bms(3).values(), 3)


def pb() -> Action:
    """Framing, checksum, table, derived values and doubts of one live frame."""
    framer = jk02.Framer()

    def action() -> Any:
        event = framer.feed(PB_FRAME)[0]
        assert isinstance(event, Frame)
        return jk02.decode(event, 1)

    return action


def pb_table() -> Action:
    """The same values as the plain code has, by the table of positions."""
    return lambda: tables.LIVE.decode(PB_FRAME, 16)


def pb_answer() -> Action:
    """The same with the acknowledgement behind it, attribution and plausibility: all that a bus does with it."""
    framer, attribution, gate = jk02.Framer(), Attribution(), Gate()
    said = PB_FRAME + acknowledgement(1, LIVE)

    def action() -> Any:
        attribution.requested(1, LIVE, 0.0)
        decided = [one for event in framer.feed(said) for one in attribution.event(event, 0.0)]
        reading = decided[0].reading()
        gate.admit(reading, 0.0)
        return reading

    return action


def ttl() -> Action:
    """Framing, checksum and the three readings of a table of the first generation."""
    framer = legacy.Framer()

    def action() -> Any:
        (frame,) = framer.feed(TTL_TABLE)
        return legacy.readings(frame, 1)

    return action


def can() -> Action:
    """One BATT_ST1."""
    return lambda: jkcan.decode(*CAN_FRAME, 2)


def can_all() -> tuple[Action, int]:
    """All frames of one battery, and how many these are."""
    said = jkcan.frames(can_bms(3).values(), 3, 2)
    return (lambda: [jkcan.decode(*frame, 2) for _, frame in said]), len(said)


# name, the product, the plainest code, goal of the first in us
Pair = tuple[str, Callable[[], Action], Action, float | None]
PAIRS: tuple[Pair, ...] = (
    ("PB live frame, decode and check", pb, lambda: floor.pb_checked(PB_FRAME), 15),
    ("table of the first generation", ttl, lambda: floor.ttl_checked(TTL_TABLE), 30),
    ("CAN frame BATT_ST1", can, lambda: floor.batt_st1(CAN_FRAME.data), 5),
)
UNCHECKED: tuple[tuple[str, Callable[[], Action], Action], ...] = (
    ("PB live frame, decode and check", pb, lambda: floor.pb(PB_FRAME)),
    ("PB live frame, its table alone", pb_table, lambda: floor.pb(PB_FRAME)),
    ("table of the first generation", ttl, lambda: floor.ttl(TTL_TABLE)),
)


def measure(times: int = 4000) -> None:
    """Print the figures."""
    for name, product, plain, goal in PAIRS:
        show(name, microseconds(product(), times), "us", goal)
        show(f"{name}: plain struct, same checks", microseconds(plain, times), "us")
        show(f"{name}: over plain struct, same checks", against(product(), plain, times // 2), "ratio")
    for name, product, plain in UNCHECKED:
        show(f"{name}: over plain struct without checksum", against(product(), plain, times // 2), "ratio")
    show("PB live frame to a believed reading", microseconds(pb_answer(), times), "us")
    everything, frames_each = can_all()
    show(f"CAN frame, mean of {frames_each} kinds", microseconds(everything, times // 8 + 1) / frames_each, "us", 5)
    inverter(times)


def bank() -> tuple[Control, list[Store]]:
    """The way from 15 snapshots to a decision, and the same batteries twice: each time all say something new."""
    stores = []
    for current in (10.0, -10.0):
        store = Store(lambda: 0.0)
        for n in range(1, 16):
            live = {key: value for key, value in values(current=current).items() if key not in SETTINGS}
            settings = {key: value for key, value in values().items() if key in SETTINGS}
            store.update("a", Reading(n, "live", live, format="pb"))
            store.update("a", Reading(n, "settings", settings, format="pb"))
        stores.append(store)
    membership, turn = Membership({"a": BusStatus("a")}), cycle(stores)
    control = Control(lambda _now: membership.candidates(next(turn), 0.0), lambda: 0.0, setpoints=Setpoints())
    return control, stores


def decided() -> Action:
    """Decision about 15 packs, all of which have just said something new; every look at the clock is a second later."""
    control, _ = bank()
    clock = count(1)
    return lambda: control.step(float(next(clock)))


def told() -> Action:
    """The same, and the frames that tell it."""
    control, _ = bank()
    clock = count(1)

    def action() -> Any:
        decision = control.step(float(next(clock)))
        assert decision
        return PYLONTECH.frames(said(decision))

    return action


def inverter(times: int) -> None:
    """Decision and encoding of the inverter's path."""
    decision = bank()[0].step(1.0)
    assert decision
    targets = said(decision)
    show("encode of one set of six frames", microseconds(lambda: PYLONTECH.frames(targets), times // 2), "us")
    show("decision for 15 packs", microseconds(decided(), times // 20 + 1), "us", 700)
    show("decision for 15 packs and its frames", microseconds(told(), times // 20 + 1), "us")
