"""What a client is told, as JSON: one part a kind, made once for all clients and as long as it stays the same. Pure.

Unknown is null, never 0. Cell voltages are whole millivolts, resistances milliohms; other numbers are rounded to the
digits of the table. Names of packs are ``bus/address``; the page finds words for them.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from jkbms_addon.acquisition.reasons import Parts, parted, silence
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.bank.bank import BankState, weights
from jkbms_addon.bank.candidate import Extreme, View
from jkbms_addon.battery.alarms import alarm_of
from jkbms_addon.battery.energy import Energy
from jkbms_addon.battery.quantities import Value, specs
from jkbms_addon.battery.reading import STATISTICS
from jkbms_addon.battery.snapshot import Key, Part, Snapshot, label
from jkbms_addon.battery.status import BmsStatus, BusStatus
from jkbms_addon.charging.decision import Decision
from jkbms_addon.inverter.dialects import DIALECTS, Dialect
from jkbms_addon.inverter.service import Outlet
from jkbms_addon.page.settings import GROUPS, row
from jkbms_addon.views import charging
from jkbms_addon.views.charging import Charge
from jkbms_addon.views.findings import Finding

SETTINGS: Final = tuple(key for key, spec in specs().items() if spec.topic == "settings")
UNSHOWN: Final = frozenset(
    {
        *("charging_power", "discharging_power", "errors_bitmask", "operation_mode_bitmask", "operation_mode"),
        *("temperature_sensor_count", "detail_log_entry_count", "smart_sleep_countdown", "emergency_time_countdown"),
        *("charge_status_time_elapsed", "precharging", "charger_plugged", "dry_contact_1", "dry_contact_2"),
    }
)
OF_CELLS: Final = frozenset(STATISTICS)  # where the cells are told, the page works them out
LIMITS: Final = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage")
KINDS: Final = ("live", "settings", "about")
UNKNOWN: Final = Part({}, 0.0, 0.0)
MILLI: Final[Mapping[str, int]] = {"cell_voltage": 0, "cell_resistance": 1}  # told in thousandths, with these digits


def encoded(content: object) -> str:
    """JSON in one line; never NaN, which no browser reads."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def rounded(value: float | None, digits: int = 0) -> float | int | None:
    """A number as it is shown; None stays None."""
    if value is None or value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN
        return None
    return round(value, digits) if digits else round(value)


def values(kind: str, part: Part) -> str:
    """The values of one kind of message, as JSON; of settings a list in the order of the table, whose keys are long."""
    if kind == "settings":
        return encoded([_value(key, part.values.get(key)) for key in SETTINGS])
    left_out = UNSHOWN | OF_CELLS if part.values.get("cell_voltage") else UNSHOWN
    return encoded({key: _value(key, value) for key, value in part.values.items() if key not in left_out})


def _value(key: str, value: Value) -> object:
    if isinstance(value, tuple):
        if key in MILLI:
            return [None if one is None else rounded(1000 * float(one), MILLI[key]) for one in value]
        return list(value)
    if isinstance(value, float):
        spec = specs().get(key)
        return rounded(value, 3 if spec is None or spec.digits is None else spec.digits)
    return value


def static(level: str, app: str, web: str, order: Sequence[str]) -> dict[str, Any]:
    """What never changes while the program runs; sent once to every client."""
    table = {key: row(key) for key in SETTINGS}  # what else there is, the page knows by heart
    told = {"v": 1, "app": app, "web": web, "may": {"level": level}, "order": list(order)}
    return {**told, "groups": GROUPS, "specs": table}


def bank(state: BankState, energy: Energy | None) -> dict[str, Any]:
    """All counted batteries as one."""
    keys = {view.label: label(view.key) for view in state.counted}
    total = sum(weight for _, weight in weights(state.counted))
    cold, warm = state.min_temperature, state.max_temperature
    return {
        "soc": rounded(state.state_of_charge, 1),
        "w": rounded(state.power),
        "a": rounded(state.current, 1),
        "v": rounded(state.total_voltage, 2),
        "spread_v": rounded(state.voltage_spread, 3),
        "ah": rounded(state.capacity_remaining, 1),
        "full_ah": rounded(state.full_charge_capacity, 1),
        "soh": rounded(state.state_of_health),
        "delta": _milli(state.delta_cell_voltage),
        "min": _place(state.min_cell, state.counted),
        "max": _place(state.max_cell, state.counted),
        "temp": {
            "mean": rounded(state.temperature, 1),
            "min": rounded(cold.value, 1) if cold else None,
            "max": rounded(warm.value, 1) if warm else None,
        },
        "counted": len(state.counted),
        "known": len(state.counted) + len(state.excluded),
        "expected": state.expected,
        "out": [{"pack": label(one.key), "why": one.reason} for one in state.excluded],
        "share": {keys[label]: rounded(share, 1) for label, share in state.sharing.items()},
        "fair": {label(view.key): rounded(100 * part / total, 1) for view, part in weights(state.counted) if total},
        "cycles": _cycles(state.counted),
        **_energy(energy),
    }


def _energy(energy: Energy | None) -> dict[str, Any]:
    if energy is None:
        return dict.fromkeys(("kwh", "full_kwh", "direction", "to_full_s", "to_empty_s", "last_full", "efficiency"))
    return {
        "kwh": rounded(energy.stored, 2),
        "full_kwh": rounded(energy.full, 2),
        "direction": energy.direction,
        # minutes are enough, and no news every second
        "to_full_s": None if energy.to_full is None else 60 * round(energy.to_full / 60),
        "to_empty_s": None if energy.to_empty is None else 60 * round(energy.to_empty / 60),
        "last_full": rounded(energy.last_full),
        "efficiency": rounded(energy.efficiency, 1),
    }


def pack_energy(energy: Energy) -> dict[str, Any]:
    """Energy of one pack; what was counted is what is kept, so it moves every five minutes."""
    counted = {"charged": rounded(energy.charged, 1), "discharged": rounded(energy.discharged, 1)}
    return {**_energy(energy), **counted, "kwh": rounded(energy.stored, 1), "cycles": rounded(energy.cycles, 1)}


def _milli(value: float | None) -> float | int | None:
    return None if value is None else rounded(1000 * value)


def _place(extreme: Extreme | None, views: Iterable[View]) -> dict[str, Any] | None:
    if extreme is None:
        return None
    where = next((view.key for view in views if extreme in (view.low, view.high)), None)
    return {"mv": _milli(extreme.value), "at": label(where) if where else None, "n": extreme.number or None}


def _cycles(views: Sequence[View]) -> int | None:
    told = [round(value) for view in views if (value := view.pack.charging_cycles) is not None]
    return max(told, default=None)


def limits(decision: Decision | None) -> dict[str, list[Any]] | None:
    """The four limits with their reasons; None where nothing is told."""
    if decision is None:
        return None
    return {key: [rounded(getattr(decision, key), 1), decision.reasons.get(key, "")] for key in LIMITS}


def inverter(
    decision: Decision | None,
    outlets: Iterable[Outlet],
    bears: Mapping[Key, tuple[float, float]],
    now: float,
    *,
    enabled: bool,
) -> dict[str, Any]:
    """What the inverters are told, and why; the limits are those of the whole bank.

    ``bears`` is what each pack that counts contributes at most to charging and discharging, in A.
    """
    return {
        "enabled": enabled,
        "phase": decision.phase if decision else None,
        "since": rounded(decision.facts.phase_since) if decision else None,
        "limits": limits(decision),
        "allows": {label(key): [rounded(amps, 1) for amps in both] for key, both in bears.items()},
        "outlets": [_outlet(outlet, now) for outlet in outlets],
    }


def owner(charge: Charge) -> dict[str, Any]:
    """What the owner may set, as it counts now: numbers and choices with their ranges, switches."""
    now = charging.values(charge)
    rows = []
    for entity in charging.controls(charge):
        if (key := entity.key.removeprefix(charging.SET)) != entity.key and entity.takes:
            limits, spec = entity.takes.limits, entity.spec
            span = [limits.minimum, limits.maximum, limits.step] if limits else None
            row = {"key": key, "n": spec.name, "u": spec.unit, "v": now.get(entity.key)}
            rows.append({**row, "range": span, "options": list(entity.takes.options)})
    facts = {key: now.get(key) for key in ("last_full", "days_since_full", "time_absorbed")}
    switches = {key: now.get(key) for key in charging.SWITCHES}
    return {"switches": switches, "rows": rows, "facts": facts, "problem": charge.unkept}


def _outlet(outlet: Outlet, now: float) -> dict[str, Any]:
    emission, link = outlet.emission, outlet.link
    return {
        "title": outlet.title,
        "target": outlet.options.channel,
        "rate": outlet.rate,
        "alone": emission.emitting and emission.alone,
        "emitting": emission.emitting,
        "why": emission.why or (link.problem if link.connected else ""),  # what is wrong although it is told
        "sets": emission.sets,
        "heard_s": None if emission.heard_at is None else rounded(now - emission.heard_at, 1),
        "speaks": speaks(DIALECTS[outlet.options.protocol]),
    }


def speaks(dialect: Dialect) -> dict[str, Any]:
    """What an inverter makes of being told to stop, and what its protocol cannot or must not say."""
    stops = (dialect.stop_charging, dialect.stop_discharging)
    return {
        "stops": [f"{stop.effect}: {stop.says}" for stop in stops],
        "lacks": list(dialect.lacks),
        "never": list(dialect.never),
    }


def bus(status: BusStatus, slot: Slot, now: float, present: Callable[[Key], bool]) -> dict[str, Any]:
    """One bus: how it is doing, what can be done on it, how its batteries answer; ``present`` is the store's word."""
    batteries = sorted(status.batteries.items())
    single = "; ".join(f"BMS {address}: {bms.problem}" for address, bms in batteries if bms.problem)
    worst = status.worst
    return {
        "name": status.name,
        "ok": status.connected and not status.problem,
        "connected": status.connected,
        "strategy": status.strategy,
        "mode": status.mode,
        "target": status.target,
        "problem": status.problem,
        "wrong": status.option_error,
        "shows": slot.medium is not None,
        "asks": slot.asks,
        "score": status.quality.score(now),
        "bytes": status.bytes,
        "frames": status.frames,
        "bad": status.checksum_errors + status.implausible,
        "timeouts": status.timeouts,
        "reconnects": status.reconnects,
        "worst": None if worst is None else [rounded(worst.seconds), worst.reason],
        "reason": parted(status.problem) if status.problem and status.problem != single else None,
        "bms": {
            str(address): _link(bms, bms.health(now, present=present((status.name, address))))
            for address, bms in batteries
        },
    }


def _link(bms: BmsStatus, health: str) -> dict[str, Any]:
    asked = bms.latency is not None
    ms = None if bms.latency is None else round(1000 * bms.latency)
    told: dict[str, Any] = {"ms": ms, "frames": bms.frames, "health": health}
    reason: Parts | None = parted(bms.problem) if bms.problem else silence() if health == "silent" and asked else None
    return {**told, "reason": reason} if reason else told


def findings(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """What is worth a look."""
    return [
        {"id": one.id, "s": one.severity, "key": one.key, "pack": one.pack or None, "text": one.text, "args": one.args}
        for one in found
    ]


def alarms(raised: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    """Raised alarms, the worst first, with the time when each was first seen, s since 1970."""
    told = [
        {"pack": pack, "name": alarm, "n": alarm_of(alarm).label, "s": alarm_of(alarm).severity, "since": round(since)}
        for (pack, alarm), since in raised.items()
    ]
    return sorted(told, key=lambda one: (("fault", "warning", "info").index(str(one["s"])), one["since"]))


def wires(battery: Snapshot, each: Sequence[Snapshot], now: float, wall: float) -> str:
    """The wires of a battery that has several, as JSON: how each is, and what it tells of the battery."""
    if len(each) < 2:
        return "[]"
    return encoded([_wire(one, battery.sources, now, wall) for one in each])


def _wire(one: Snapshot, sources: Mapping[str, Key], now: float, wall: float) -> dict[str, Any]:
    on, age = one.online(now), one.age(now)
    told: dict[str, Any] = {"wire": label(one.key), "state": "silent" if not on else "stands" if one.stands else "on"}
    told["tells"] = [kind for kind in KINDS if on and sources.get(kind) == one.key]
    return told if on or age is None else {**told, "at": round(wall - age)}  # a time, which does not change


def told_parts(snapshot: Snapshot, now: float) -> Mapping[str, Part]:
    """The parts of a battery that there are to tell; a silent one keeps its last ones, greyed by the page.

    Of one that is heard, settings that have expired are unknown; who it is does not age.
    """
    found = {kind: part for kind, part in snapshot.parts.items() if kind in KINDS}
    if snapshot.online(now) and "settings" in found and now >= found["settings"].expires:
        found["settings"] = UNKNOWN
    return found
