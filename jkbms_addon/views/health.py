"""How the program, its buses and the links to its batteries are doing: the device "JK BMS bridge". Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.battery.quantities import Scalar, Spec
from jkbms_addon.battery.snapshot import Key
from jkbms_addon.battery.status import WALL, BmsStatus, BusStatus
from jkbms_addon.commands.rules import Range
from jkbms_addon.views.battery import word
from jkbms_addon.views.entities import HEALTH, Device, Entity, Identity, controlled
from jkbms_addon.views.findings import Finding, told

BRIDGE: Final = "bridge"
UNHEARD: Final[Mapping[str, Scalar]] = {"health": "silent"}
ILL: Final = ("corrupt", "frozen")  # what is wrong with a link although something is heard
LONGEST: Final = 255  # characters of a state in Home Assistant

BUS_DIAGNOSTICS: Final[Mapping[str, Spec]] = {
    "connected": Spec("connected", kind="flag", device_class="connectivity", diagnostic=True),
    "problem": Spec("problem", kind="flag", device_class="problem", diagnostic=True),
    "reason": Spec("reason", kind="text", diagnostic=True),
    "quality": Spec("quality", unit="%", state_class="measurement", digits=0, diagnostic=True),
    "mode": Spec("mode", kind="text", diagnostic=True, enabled=False),
    "worst_incident": Spec("incident", kind="text", diagnostic=True, enabled=False),
    "worst_incident_time": Spec("incident time", device_class="timestamp", diagnostic=True, enabled=False),
    "since": Spec("since", device_class="timestamp", diagnostic=True, enabled=False),
    "last_error": Spec("last error", kind="text", diagnostic=True, enabled=False),
    **{
        name: Spec(label, state_class="total_increasing", diagnostic=True, enabled=False)
        for name, label in (
            ("bytes", "bytes"),
            ("frames", "frames"),
            ("checksum_errors", "bad checksums"),
            ("implausible", "implausible"),
            ("junk", "junk bytes"),
            ("timeouts", "time-outs"),
            ("reconnects", "reconnects"),
        )
    },
}
BRIDGE_DIAGNOSTICS: Final[Mapping[str, Spec]] = {
    "any_battery_problem": Spec("Any battery problem", kind="flag", device_class="problem"),
    "configuration_problem": Spec("Config problem", kind="flag", device_class="problem", diagnostic=True),
    "configuration_reason": Spec("Config reason", kind="text", diagnostic=True),
    "same_battery": Spec("Same battery twice", kind="text", diagnostic=True, enabled=False),
    "worth_a_look": Spec("Worth a look", kind="text", icon="mdi:eye-outline"),
    "worth_a_look_count": Spec("Things worth a look", state_class="measurement", digits=0, icon="mdi:eye-outline"),
}
WRITING: Final = Spec("Writing", kind="flag", icon="mdi:lock-open-variant")


def bridge(buses: Iterable[str], *, writing: bool = False) -> Device:
    """The device: every bus with its diagnostics, and the lock of all writing."""
    return Device(
        BRIDGE,
        "jkbms_bridge",
        "JK BMS bridge",
        BRIDGE,
        tuple(_entities(buses, writing=writing)),
        Identity(model="RS485, CAN and UART bridge", software_version=__version__),
    )


def _entities(buses: Iterable[str], *, writing: bool) -> Iterator[Entity]:
    for key, spec in BRIDGE_DIAGNOSTICS.items():
        yield Entity(key, spec, part=HEALTH)
    if writing:
        yield Entity("writing", WRITING, part=HEALTH, takes=controlled(WRITING, Range(0, 1, 1)))
    for bus in buses:
        for name, spec in BUS_DIAGNOSTICS.items():
            yield Entity(f"{bus}_{name}", spec, f"{bus} {spec.name}", HEALTH, ("buses", bus, name))


@dataclass(frozen=True, slots=True)
class Summary:
    """What concerns everything; ``writing`` is None where nothing can be changed at all."""

    connected: Mapping[Key, bool | None]  # whether each battery that is shown is there; None as long as nobody knows
    raised: frozenset[Key] = frozenset()  # batteries with an alarm that they have not taken back yet
    problems: tuple[str, ...] = ()  # of the configuration
    twins: tuple[str, ...] = ()
    writing: bool | None = None
    findings: Sequence[Finding] = ()
    sources: Mapping[Key, Key] = field(default_factory=dict)  # the wire that tells a battery that has several


def overview(
    buses: Mapping[str, BusStatus], summary: Summary, now: float, present: Callable[[Key], bool]
) -> dict[str, Any]:
    """Diagnostics of the whole, of the buses and of every BMS; ``now`` is monotonic s, ``present`` the store's word.

    A battery that is lost, frozen or corrupt is a problem as much as one that says so.
    """
    links = {key: _link(bms, now, there=present(key)) for key, bms in _statuses(buses).items()}
    links |= {battery: links[wire] for battery, wire in summary.sources.items() if wire in links}
    problems = [f"bus {name}: {bus.problem}" for name, bus in buses.items() if bus.option_error]
    problems += summary.problems
    return {
        "any_battery_problem": on_off(state=troubled(links, summary)),
        "configuration_problem": on_off(state=bool(problems)),
        "configuration_reason": ("; ".join(problems) or "ok")[:LONGEST],
        **({} if summary.writing is None else {"writing": on_off(state=summary.writing)}),
        "same_battery": "; ".join(summary.twins)[:LONGEST],
        "worth_a_look": told(summary.findings, LONGEST),
        "worth_a_look_count": len(summary.findings),
        "buses": {name: bus_health(bus, now) for name, bus in buses.items()},
        "batteries": {
            word(key): {**links.get(key, UNHEARD), "connection": connection(summary.connected.get(key))}
            for key in (*links, *(key for key in summary.connected if key not in links))
        },
    }


def troubled(links: Mapping[Key, Mapping[str, Scalar]], summary: Summary) -> bool:
    """Whether any battery has a problem."""
    if summary.raised or any(there is False for there in summary.connected.values()):
        return True
    return any(key in links and links[key]["health"] in ILL for key in summary.connected)


def _statuses(buses: Mapping[str, BusStatus]) -> dict[Key, BmsStatus]:
    return {(name, address): bms for name, bus in buses.items() for address, bms in bus.batteries.items()}


def _link(bms: BmsStatus, now: float, *, there: bool) -> dict[str, Scalar]:
    """How the link to one battery is doing."""
    return {
        "health": bms.health(now, present=there),
        "reason": (bms.problem or "ok")[:LONGEST],
        "age": None if bms.last_frame is None else round(now - bms.last_frame, 1),
        "latency": None if bms.latency is None else round(bms.latency * 1000),
        "frames": bms.frames,
        "failures": bms.failures,
        "implausible": bms.implausible,
    }


def connection(there: bool | None) -> str | None:  # noqa: FBT001 - unknown is the third
    """The word of *Connection*."""
    return None if there is None else on_off(state=there)


def bus_health(bus: BusStatus, now: float) -> dict[str, Scalar]:
    """Diagnostics of one bus; ``since`` is the time of the last change of ``connected``."""
    worst = bus.worst
    return {
        "connected": on_off(state=bus.connected),
        "problem": on_off(state=bool(bus.problem)),
        "reason": (bus.problem or "ok")[:LONGEST],
        "quality": bus.quality.score(now),
        "mode": bus.mode or bus.strategy,
        "worst_incident": f"{worst.seconds:.0f} s: {worst.reason}"[:LONGEST] if worst else None,
        "worst_incident_time": _time(worst.began) if worst else None,
        "since": _time(WALL.at(bus.since)),
        "last_error": bus.last_error[:LONGEST] or None,
        "strategy": bus.strategy,
        "bytes": bus.bytes,
        "frames": bus.frames,
        "checksum_errors": bus.checksum_errors,
        "implausible": bus.implausible,
        "junk": bus.junk,
        "timeouts": bus.timeouts,
        "reconnects": bus.reconnects,
    }


def _time(seconds: float) -> str:
    """Wall clock time, s since 1970, as Home Assistant reads it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def on_off(*, state: bool) -> str:
    """The words of a flag."""
    return "ON" if state else "OFF"
