"""Every entity that there must be on the stage, by unique id: what it is and what it must show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from jkbms_addon.battery.quantities import Spec
from jkbms_addon.charging.owner import NUMBERS
from jkbms_addon.charging.setpoints import GRID_CHARGE
from jkbms_addon.simulator.can import Adapter
from jkbms_addon.views import bank, charging, inverter
from jkbms_addon.views.battery import CHANGED, DIAGNOSTICS, LAST_CHANGE, table
from jkbms_addon.views.entities import shown_as
from jkbms_addon.views.health import BRIDGE_DIAGNOSTICS, BUS_DIAGNOSTICS, WRITING
from tests.end_to_end.batteries import Battery
from tests.end_to_end.stage import BUSES, CAN, CAN_V1, FIRST, FOLLOWED, GATE, POLLED, TAP, Stage, agrees
from tests.inverter.test_dbc import ALARMS, DATABASES, PROTECTIONS, SIGNALS

BRIDGE, BANK, INVERTER = "jkbms_bridge", "jkbms_bank", "jkbms_inverter"
MODES = {POLLED: "master", FOLLOWED: "listen", GATE: "gateway", TAP: "gateway", FIRST: "ttl"}
MODES |= dict.fromkeys((CAN, CAN_V1), "can_broadcast")
ASKED = (POLLED, GATE, FIRST)  # buses on which an answer's time is known
MICRO = ("\u00b5", "\u03bc")  # the sign of the unit, and the Greek letter that Home Assistant puts in its place
NOT_IN_GOODWE = "full_charge_request"  # only Pylontech has a bit for it


@dataclass(frozen=True, slots=True)
class Entity:
    """What Home Assistant must know of an entity; ``shows`` judges its state."""

    device: str
    spec: Spec
    shows: Callable[[str], bool]
    domain: str
    category: str | None
    name: str
    limits: tuple[float, float, float] | None = None

    def differences(self, known: dict[str, Any]) -> list[str]:
        """Where the registry says otherwise."""
        pairs = {
            "domain": (known["entity_id"].split(".")[0], self.domain),
            "category": (known["entity_category"], self.category),
            "enabled": (known["disabled_by"], None if self.spec.enabled else "integration"),
            "name": (known["original_name"], self.name),
        }
        return [f"{what} is {one}, not {other}" for what, (one, other) in pairs.items() if one != other]

    def misread(self, state: dict[str, Any]) -> list[str]:
        """Where its state or its attributes say otherwise."""
        told, spec = state["attributes"], self.spec
        measured = self.domain == "sensor"
        pairs: dict[str, Any] = {
            "unit_of_measurement": (spec.unit or "").replace(*MICRO) or None if measured or self.limits else None,
            "device_class": None if self.domain in ("switch", "event", "button") else spec.device_class,
            "state_class": spec.state_class if measured else None,
            "options": list(spec.options) or None,
            "icon": spec.icon,
        }
        wrong = [f"{n} is {told.get(n)}, not {v}" for n, v in pairs.items() if told.get(n) != v]
        if self.limits:
            limits = tuple(told[name] for name in ("min", "max", "step"))
            if limits != pytest.approx(self.limits):
                wrong.append(f"limits are {limits}, not {self.limits}")
        if not self.shows(state["state"]):
            wrong.append(f"shows {state['state']!r}")
        return wrong


def shown(spec: Spec, device: str, shows: Callable[[str], bool], name: str = "") -> Entity:
    """An entity that only shows."""
    category = "diagnostic" if spec.diagnostic else None
    return Entity(device, spec, shows, shown_as(spec), category, name or spec.name)


def within(low: float, high: float) -> Callable[[str], bool]:
    def check(state: str) -> bool:
        try:
            return low <= float(state) <= high
        except ValueError:
            return False

    return check


def among(*words: str) -> Callable[[str], bool]:
    return lambda state: state in words


def says(value: Any, key: str = "") -> Callable[[str], bool]:
    return lambda state: agrees(state, value, key)


def some_text(state: str) -> bool:
    return len(state) > 1 and state not in ("unknown", "unavailable")


def of_battery(battery: Battery) -> dict[str, Entity]:
    """All of one battery."""
    found, told = {}, battery.says()
    for key, spec in battery.value_specs().items():
        name = f"{spec.name} {key.rpartition('_')[2]}" if spec.listed else spec.name
        entity = shown(spec, battery.device, says(told[key], key), name)
        if key in battery.controls:
            domain = "switch" if spec.kind == "flag" else "number"
            limits = battery.limits(key) if domain == "number" else None
            entity = Entity(battery.device, spec, entity.shows, domain, "config", name, limits)
        found[key] = entity
    checks = {
        "connection": among("on"),
        "reason": among("ok"),
        "health": among("ok"),
        "age": within(0, 15),
        "latency": within(1, 2000) if battery.bus in ASKED else among("unknown"),
        "frames": within(3, 1e5),
        "failures": within(0, 20),
    }
    found |= {key: shown(spec, battery.device, checks[key]) for key, spec in DIAGNOSTICS.items()}
    found |= counted(battery.device, sized=not battery.can or battery.can.version == 2)
    if battery.writable:
        found[LAST_CHANGE] = shown(CHANGED, battery.device, among("none"))
        last = Spec("Last write", kind="text", diagnostic=True, icon="mdi:pencil-lock")
        found["last_write"] = Entity(battery.device, last, among("unknown"), "event", "diagnostic", last.name)
    return {f"{battery.device}_{key}": entity for key, entity in found.items()}


_hours = within(0, 1000)


def counted(device: str, *, sized: bool = True) -> dict[str, Entity]:
    """What the app counts itself since the stage was set, which is minutes; ``sized`` where a capacity is told."""
    checks = {
        **dict.fromkeys(("energy_charged", "energy_discharged"), within(0, 5)),
        "stored_energy": within(0, 60) if sized else among("unknown"),
        **dict.fromkeys(("time_to_full", "time_to_empty"), lambda state: state == "unknown" or _hours(state)),
        "charge_direction": among("charging", "discharging", "idle"),
        **dict.fromkeys(("last_full_charge", "round_trip_efficiency"), among("unknown")),
        "equivalent_full_cycles": within(0, 0.1) if sized else among("unknown"),
    }
    return {key: shown(table()[key], device, check) for key, check in checks.items()}


def of_bridge() -> dict[str, Entity]:
    """The buses and the program itself; one battery has a warning."""
    checks = {
        "any_battery_problem": among("on"),
        "configuration_problem": among("off"),
        "configuration_reason": among("ok"),
        "same_battery": among(""),
        "worth_a_look": bool,
        "worth_a_look_count": within(0, 99),
    }
    found = {key: shown(spec, BRIDGE, checks[key]) for key, spec in BRIDGE_DIAGNOSTICS.items()}
    found["writing"] = Entity(BRIDGE, WRITING, among("off"), "switch", "config", WRITING.name)
    for bus in BUSES:
        for key, check in bus_checks(bus).items():
            spec = BUS_DIAGNOSTICS[key]
            found[f"{bus}_{key}"] = shown(spec, BRIDGE, check, f"{bus} {spec.name}")
    return {f"{BRIDGE}_{key}": entity for key, entity in found.items()}


def bus_checks(bus: str) -> dict[str, Callable[[str], bool]]:
    """What a bus on which all is well shows; every diagnostic of the table has a line here."""
    checks = {
        "connected": among("on"),
        "problem": among("off"),
        "reason": among("ok"),
        "quality": within(75, 100),  # on a busy machine the simulated wires stutter
        "mode": among(MODES[bus]),
        # nothing was wrong with it yet
        **dict.fromkeys(("worst_incident", "worst_incident_time", "last_error"), among("unknown")),
        "since": lambda state: state.startswith("20") and state.endswith("+00:00"),
        "bytes": within(1000, 1e9),
        "frames": within(5, 1e7),
        **dict.fromkeys(("checksum_errors", "implausible", "reconnects"), within(0, 0)),
        # a listener may begin in the middle of a frame, and a stuttering answer is cut off
        "junk": within(0, 9999),
        "timeouts": within(0, 20),
    }
    assert set(checks) == set(BUS_DIAGNOSTICS)
    return checks


def of_bank(packs: list[Battery]) -> dict[str, Entity]:
    """Batteries in parallel: worked out here from what each of them says."""
    told = [pack.says() for pack in packs]
    volts, amps = [t["total_voltage"] for t in told], [t["current"] for t in told]
    sizes = [t["full_charge_capacity"] for t in told]

    def weighted(key: str) -> float:
        return float(sum(t[key] * size for t, size in zip(told, sizes, strict=True)) / sum(sizes))

    def places(prefix: str, count: int) -> list[tuple[float, int, int]]:
        """Value, address and number of what the packs have several of."""
        return [
            (t[f"{prefix}{n}"], pack.address, n)
            for pack, t in zip(packs, told, strict=True)
            for n in range(1, count + 1)
            if f"{prefix}{n}" in t
        ]

    cells, warm = places("cell_voltage_", 16), places("temperature_sensor_", 5)
    shares = [100 * amp / sum(amps) for amp in amps]
    values: dict[str, Any] = {
        "total_voltage": sum(volts) / len(volts),
        "current": sum(amps),
        "power": sum(v * a for v, a in zip(volts, amps, strict=True)),
        "state_of_charge": weighted("state_of_charge"),
        "state_of_health": weighted("state_of_health"),
        "capacity_remaining": sum(t["capacity_remaining"] for t in told),
        "full_charge_capacity": sum(sizes),
        "delta_cell_voltage": max(cells)[0] - min(cells)[0],
        "voltage_spread": max(volts) - min(volts),
        "sharing_error": max(abs(s - 100 * size / sum(sizes)) for s, size in zip(shares, sizes, strict=True)),
        "packs_online": len(packs),
        "packs_expected": len(packs),
        "packs_blocking_charge": 0,
        "packs_blocking_discharge": 0,
        "packs_excluded": "none",
        "problem": False,
    }
    for key, (value, address, number) in {
        "min_cell_voltage": min(cells),
        "max_cell_voltage": max(cells),
        "min_temperature": min(warm),
        "max_temperature": max(warm),
    }.items():
        values[key] = value
        values[f"{key}_at"] = f"{address}-{'T' if 'temperature' in key else ''}{number}"
    specs = dict(bank.ENTITIES)
    for pack, share in zip(packs, shares, strict=True):
        key = f"sharing_{pack.address}"  # the bus belongs to the name only where addresses repeat
        specs[key] = Spec(f"Share of pack {pack.address}", unit="%", state_class="measurement", digits=1)
        values[key] = share
    found = {key: shown(spec, BANK, _rounded(spec, values[key])) for key, spec in specs.items()}
    own = counted(BANK)
    found |= {key: shown(spec, BANK, own[key].shows) for key, spec in bank.COUNTED.items()}
    return {f"{BANK}_{key}": entity for key, entity in found.items()}


def _rounded(spec: Spec, value: Any) -> Callable[[str], bool]:
    """Sums and means are told with as many digits as they deserve."""
    if isinstance(value, str | bool):
        return says(value)
    half = 0.0006 if spec.digits is None else 0.5 * 10**-spec.digits + 0.0006
    return within(value - half, value + half)


def on_the_wire(adapter: Adapter) -> dict[str, Any]:
    """What the inverter was sent last, by the DBC file, as keys of the entities."""
    database = DATABASES["goodwe"]
    told: dict[str, Any] = {}
    for frame in {frame.can_id: frame for _, frame in adapter.transmitted}.values():
        told |= database.decode_message(frame.can_id, frame.data, decode_choices=False)
    found = {key: told[signal] for signal, key in SIGNALS.items() if signal in told}
    for key, signals in (("protections", PROTECTIONS), ("alarms", ALARMS)):
        raised = [word.replace("_", " ") for signal, word in signals.items() if told.get(signal)]
        found[key] = ", ".join(raised) or "none"
    return found


def of_inverter(stage: Stage) -> dict[str, Entity]:
    """What is shown must be what was sent."""
    sent = on_the_wire(stage.inverter)
    checks: dict[str, Callable[[str], bool]] = {
        "emitting": among("on"),
        "phase": among("bulk"),
        **{f"{key}_reason": some_text for key in ("charge_voltage", "charge_current")},
        **{f"{key}_reason": some_text for key in ("discharge_voltage", "discharge_current")},
        "connected": among("on"),
        "reason": among("ok"),
        "heartbeat_age": within(0, 2),
        "heartbeat_ids": among("305"),
        "heartbeats": within(5, 1e4),
        "sets": within(5, 1e4),
        NOT_IN_GOODWE: among("on", "off"),
        "state_of_charge_reason": lambda state: state != "unavailable",  # empty where nobody corrects the mean
        "last_full": among("unknown"),
        "days_since_full": among("unknown"),
        "time_absorbed": within(0, 0),
        "learned_offset": within(0, 0),
        "voltage_trim": within(0, 0),
        **dict.fromkeys(("packs_may_charge", "packs_may_discharge"), within(2, 2)),
        **dict.fromkeys(("packs_empty", "findings"), among("none")),
    }
    found = {}
    for key, spec in inverter.ENTITIES.items():
        check = checks.get(key) or _sent(spec, sent.get(key))
        found[key] = shown(spec, INVERTER, check)
    enable, stop = (
        Spec("Enable", kind="flag", icon="mdi:transmission-tower-export"),
        Spec("Stop", icon="mdi:stop-circle-outline"),
    )
    found["enable"] = Entity(INVERTER, enable, among("on"), "switch", None, "Enable")
    found["stop"] = Entity(INVERTER, stop, among("unknown"), "button", None, "Stop")
    found |= of_the_owner()
    return {f"{INVERTER}_{key}": entity for key, entity in found.items()}


OUTER = {"max_charge_current": 120, "max_discharge_current": 140}  # the stage's options, above which nobody may go


def of_the_owner() -> dict[str, Entity]:
    """What the owner steers, before he has touched anything; the stage's packs are LFP."""
    found = {}
    for key, number in NUMBERS.items():
        spec = Spec(number.name, unit=number.unit, device_class={"V": "voltage", "A": "current"}.get(number.unit or ""))
        limits = (number.low, min(number.high, OUTER.get(key, number.high)), number.step)
        check = within(*limits[:2])
        found[f"set_{key}"] = Entity(INVERTER, spec, check, "number", "config", number.name, limits)
    grid = Spec("Charge from the grid", icon="mdi:transmission-tower-import", options=GRID_CHARGE)
    found["set_grid_charge"] = Entity(INVERTER, grid, among(*GRID_CHARGE), "select", "config", grid.name)
    for key, spec in charging.SWITCHES.items():
        found[key] = Entity(INVERTER, spec, among("on"), "switch", None, spec.name)
    for key, spec in charging.BUTTONS.items():
        found[key] = Entity(INVERTER, spec, among("unknown"), "button", None, spec.name)
    return found


def _sent(spec: Spec, value: Any) -> Callable[[str], bool]:
    if value is None:
        return among()  # nothing was sent yet
    if spec.kind == "flag":
        return among("on" if value else "off")
    if spec.kind == "text":
        return among(value)
    # the wire has fewer digits than some of the entities
    return within(value - 0.051, value + 0.051)


def everything(stage: Stage) -> dict[str, Entity]:
    """By unique id."""
    found = of_bridge() | of_inverter(stage)
    packs = [stage.park.one(POLLED, 1), stage.park.one(POLLED, 2)]
    found |= of_bank(packs)
    for battery in stage.park.batteries:
        found |= of_battery(battery)
    return found


DEVICES: dict[str, Callable[[Stage], dict[str, str | None]]] = {
    BRIDGE: lambda _stage: {"name": "JK BMS bridge", "manufacturer": "JK BMS"},
    BANK: lambda _stage: {"name": "Battery bank", "manufacturer": "JK BMS"},
    INVERTER: lambda _stage: {
        "name": "Inverter",
        "manufacturer": "JK BMS",
        "model": 'GoodWe V1.5, also cited as "Pylontech V1.3"',
    },
}


def device_of(battery: Battery, name: str) -> dict[str, str | None]:
    """What the device page says of a battery, as far as its format tells."""
    told = battery.says()
    return {
        "name": name,
        "manufacturer": "Jikong",
        **{key: told.get(key) for key in ("model", "serial_number")},
        "hw_version": told.get("hardware_version"),
        "sw_version": told.get("software_version"),
    }


def devices(stage: Stage, shown: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str | None]]:
    """By identifier; of those with one address the first that came has it alone, the others with their bus."""
    found = {identifier: about(stage) for identifier, about in DEVICES.items()}
    taken: set[int] = set()
    for battery in sorted(stage.park.batteries, key=lambda one: len(str(shown[one.device]["name"]))):
        short = f"JK BMS {battery.address}"
        name = short if battery.address not in taken else f"JK BMS {battery.bus} {battery.address}"
        taken.add(battery.address)
        found[battery.device] = device_of(battery, name)
    return found
