"""What Bluetooth costs: a frame in notifications until it is believed, its library in memory, a battery at its pace.

The radio and the bus of BlueZ are not in these figures; ``tests/bluetooth`` has them, from a machine of its own.
"""

import subprocess
import sys
from typing import Any

from jkbms_addon.acquisition.ble import Ble
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.simulator.ble import LIVE_FRAME, BleUnit, BleWire
from jkbms_addon.simulator.pb import SimulatedBms
from tests.benchmarks.figures import Action, microseconds, show

LAYOUTS = ("32S", "24S")
RESIDENT = """
from jkbms_addon import app
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
before = resident()
import jkbms_addon.link.gatt
print(resident() - before)
"""


def frame(layout: str) -> Action:
    """A live frame in the pieces of its module: framing, layout, decoding, belief."""
    unit = BleUnit(SimulatedBms(1), layout)
    source = Ble(BleWire(unit), BusStatus("b"), 1)
    source.layout = layout  # type: ignore[assignment]
    told = [unit.frame(LIVE_FRAME) for unit.counter in range(2)]
    pieces, turn = [unit.pieces(one) for one in told], 0

    def action() -> Any:
        nonlocal turn
        turn += 1
        (found,) = source._frames(pieces[turn % 2])
        return source._told(found, source._clock())

    action()
    return action


def library() -> float:
    """MiB that the program grows by when a bus uses Bluetooth."""
    done = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True)
    return float(done.stdout)


def measure(times: int = 2000) -> None:
    """Print the figures."""
    for layout in LAYOUTS:
        cost = microseconds(frame(layout), times)
        show(f"frame over Bluetooth to a believed reading, {layout}", cost, "us")
        period = BleUnit(SimulatedBms(1), layout).period
        show(f"CPU for what one battery tells over Bluetooth, {layout}", cost / 1e6 / period * 100, "% of a core")
    show("RSS of the Bluetooth library", library(), "MiB", 4)
