"""Compares everything that is published with what the simulated batteries really said."""

import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jkbms_addon.battery.alarms import alarm_of
from jkbms_addon.battery.reading import flat
from jkbms_addon.mqtt.sheet import encoded
from jkbms_addon.simulator.can import CanBms
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.views import energy
from jkbms_addon.views.battery import SEVERITIES, entity_specs
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.frames import REGISTERS, Frame, decode

REMEMBERED = 200  # pages; what was said earlier is old, as every value is told anew within a minute
TYPES = {register: kind for kind, register in REGISTERS.items()}


@lru_cache(maxsize=4096)
def _published(register: int, page: bytes, address: int) -> dict[str, Any]:
    reading = decode(Frame(TYPES[register], page, 0), address)
    values = flat(reading.values, reading.alarm_names)
    values["total_runtime_formatted"] = running_for(values.get("total_runtime"))
    values["alarms"] = in_words(reading.values.get("alarms"))
    content: dict[str, Any] = json.loads(encoded(values))
    return content


def running_for(seconds: Any) -> str | None:
    """A running time in the words of the entity."""
    return None if seconds is None else f"{int(seconds) // 86400} d {int(seconds) % 86400 // 3600} h"


def in_words(raised: Any) -> str:
    """Alarms as one text, the worst first."""
    found = sorted(map(alarm_of, raised or ()), key=lambda alarm: SEVERITIES.index(alarm.severity))
    return "; ".join(f"{alarm.severity}: {alarm.label}" for alarm in found) or "none"


@dataclass(slots=True)
class Witness(SimulatedBms):
    """A simulated battery that remembers what it said."""

    said: dict[int, deque[bytes]] = field(default_factory=dict)

    def page(self, register: int) -> bytes:
        # not super(): a dataclass with slots is made anew
        page = SimulatedBms.page(self, register)
        self.said.setdefault(register, deque(maxlen=REMEMBERED)).append(page)
        return page

    def told(self, register: int) -> list[dict[str, Any]]:
        """What it said of late, as it would be published, the newest first."""
        return [_published(register, page, self.address) for page in reversed(self.said.get(register, ()))]


def differing(shown: dict[str, Any], truth: dict[str, Any]) -> list[str]:
    """Keys with a value that was not said; null says nothing."""
    return [key for key, value in shown.items() if value is not None and truth.get(key) != value]


def same(real: Any, shown: Any, digits: int | None) -> bool:
    """Whether a value is the real one, rounded to so many digits, None for not at all."""
    if isinstance(real, int | float) and not isinstance(real, bool) and isinstance(shown, int | float):
        return bool(abs(real - shown) <= 0.5 * 10 ** -(9 if digits is None else digits) + 1e-9)
    return bool(real == shown)


# What a wire format that rounds, and tells one battery in many frames, may differ by; by unit, and for cells.
ROUNDING = {"V": 0.11, "A": 0.11, "Ah": 0.6, "%": 1, "°C": 1, "W": 12}
CELLS = 0.003
METERS = ("energy_charged", "energy_discharged", "equivalent_full_cycles")
LARGEST = 20.0  # kWh of a battery here


def far_off(shown: dict[str, Any], bms: CanBms) -> list[str]:
    """Keys whose value is not what the battery measures now, but for rounding; clocks and counters apart."""
    truth, table = flat(bms.values()), entity_specs(frozenset(shown))
    wrong = []
    for key, value in shown.items():
        real = truth.get(key)
        if value is None or real is None:
            continue
        unit = table[key].unit if key in table else None
        limit = CELLS if "cell_voltage" in key else ROUNDING.get(unit or "", 0.0)
        if isinstance(real, bool) or isinstance(value, str):
            if value not in ({True: "ON", False: "OFF"}.get(real) if isinstance(real, bool) else real, real):
                wrong.append(key)
        elif unit in ROUNDING and abs(value - float(real)) > limit:
            wrong.append(key)
    return wrong


class Judge:
    """Hears every message; ``batteries`` by bus and address are all that exist."""

    def __init__(self, batteries: dict[tuple[str, int], Witness]) -> None:
        self._batteries: dict[tuple[str, int], Witness | CanBms] = {**batteries}
        self.judged: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.phantoms: set[str] = set()
        self.examples: list[str] = []
        self.unsure_until = 0.0  # monotonic s; a battery on CAN changes suddenly, and what is shown may be a second old
        self._fixed: dict[tuple[str, int], dict[str, Any]] = {}
        self._meters: dict[tuple[str, int], dict[str, float]] = {}

    def know(self, more: Mapping[tuple[str, int], Witness | CanBms]) -> None:
        """There are more batteries."""
        self._batteries |= more

    def hear(self, topic: str, payload: str) -> None:
        """Look at one message."""
        parts = topic.split("/")
        if parts[0] == "homeassistant" and parts[-1] == "config":
            self._announced(parts[-2])
        elif len(parts) == 4 and parts[2].isdecimal() and payload:
            self._battery((parts[1], int(parts[2])), parts[3], payload)

    def _announced(self, device: str) -> None:
        expected = {f"jkbms_{bus}_{address}" for bus, address in self._batteries}
        if device not in {*expected, "jkbms_bridge", "jkbms_bank", "jkbms_inverter"}:
            self.phantoms.add(device)

    def _battery(self, key: tuple[str, int], leaf: str, payload: str) -> None:
        bms = self._batteries.get(key)
        if bms is None:
            self.phantoms.add(f"{key[0]}/{key[1]}")
            return
        if leaf not in ("state", "settings", "info"):
            return
        self.judged[leaf] += 1
        shown = json.loads(payload)
        if isinstance(bms, CanBms):
            wrong = far_off(shown, bms) if time.monotonic() > self.unsure_until else []
        elif leaf == "state":
            measured = {name: value for name, value in shown.items() if name not in energy.ENTITIES}
            wrong = self._live(bms, measured) + self._counted(key, shown)
        else:
            wrong = differing(shown, self._fixed_values(key, bms))
        if wrong:
            self.wrong[f"{key[0]}/{key[1]} {leaf}"] += 1
            self.examples.append(f"{topic_of(key, leaf)}: { ({name: shown[name] for name in wrong[:5]}) }")

    def _live(self, bms: Witness, shown: dict[str, Any]) -> list[str]:
        """Keys whose value no page of the last minutes says, rounded as shown; small changes are held back."""
        pages, table = bms.told(modbus.LIVE), entity_specs(frozenset(shown))
        digits = {key: spec.digits for key, spec in table.items()} | {key: 0 for key in table if key.endswith("power")}
        return [
            key
            for key, value in shown.items()
            if value is not None and not any(same(page.get(key), value, digits.get(key)) for page in pages)
        ]

    def _counted(self, key: tuple[str, int], shown: dict[str, Any]) -> list[str]:
        """Keys of what the app counts itself: meters that went back, and more energy than a battery holds."""
        before = self._meters.setdefault(key, {})
        wrong = [name for name in METERS if shown.get(name) is not None and shown[name] < before.get(name, 0.0)]
        before.update({name: shown[name] for name in METERS if shown.get(name) is not None})
        stored = shown.get("stored_energy")
        return wrong + (["stored_energy"] if stored is not None and not 0 <= stored <= LARGEST else [])

    def _fixed_values(self, key: tuple[str, int], bms: Witness) -> dict[str, Any]:
        """Settings and identity, which nobody changes here."""
        if key not in self._fixed:
            values: dict[str, Any] = {}
            for register in (modbus.SETTINGS, modbus.ABOUT):
                reading = decode(Frame(TYPES[register], SimulatedBms.page(bms, register), 0), bms.address)
                values |= flat(reading.values, reading.alarm_names)
            values["battery_type"] = "LFP"  # told with the measured values
            self._fixed[key] = json.loads(encoded(values))
        return self._fixed[key]


def topic_of(key: tuple[str, int], leaf: str) -> str:
    return f"{key[0]}/{key[1]}/{leaf}"
