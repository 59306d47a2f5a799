"""What a reading costs from the store to the messages, with and without writes; a broker is not there."""

from dataclasses import replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

from jkbms_addon.battery.reading import Reading, derive
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Outbox
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.registers import WRITABLE
from tests.benchmarks.decoding import PB_FRAME
from tests.benchmarks.figures import Action, microseconds, show

NOISE = 8  # different readings in turn
REREAD = 30  # live readings between two readings of the settings
STEP = 2.0  # s between two readings


def readings() -> list[Reading]:
    """Live readings that differ as those of a real pack do."""
    first = jk02.decode(jk02.Frame(2, PB_FRAME, 0), 1)
    cells: Any = first.values["cell_voltage"]
    found = []
    for n in range(NOISE):
        noisy = dict(first.values)
        noisy["cell_voltage"] = tuple(round(cell + 0.001 * ((n + i) % 3), 3) for i, cell in enumerate(cells))
        noisy["current"] = -10.0 + 0.05 * (n % 4)
        derive(noisy)
        found.append(replace(first, values=noisy))
    return found


def publishing(level: str) -> Action:
    """One reading of one battery into the store, and what is to be published of it."""
    clock = count(0.0, STEP)
    now = [0.0]
    store = Store(lambda: now[0])
    commands = CommandQueue(level, store, {"a": frozenset(WRITABLE)}, Audit(Path("/nowhere")))
    status = BusStatus("a")
    outbox = Outbox(Topics(), store, {"a": status}, {"a": frozenset({1})}, commands=commands)
    bms = SimulatedBms(1)
    slow = [jk02.decode(jk02.Frame(kind, bms.page(register), 0), 1) for kind, register in PAGES]
    live, turn = cycle(readings()), count()

    def action() -> Any:
        now[0] = next(clock)
        if next(turn) % REREAD == 0:
            store.update("a", slow[0])
            store.update("a", slow[1])
        status.bms(1).heard(now[0])
        store.update("a", next(live))
        return outbox.due(now[0])

    for _ in range(3 * REREAD):
        assert action()
    return action


PAGES = ((1, modbus.SETTINGS), (3, modbus.ABOUT))


def measure(times: int = 3000) -> None:
    """Print the figures."""
    for level in ("off", "protections"):
        show(f"reading to messages, writes.level {level}", microseconds(publishing(level), times), "us", 60)
