"""What would run with some options, in words."""

from collections.abc import Iterator

from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.battery.snapshot import label
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.link.place import exists
from jkbms_addon.options.file import Options

WRITES = {
    "off": "nothing is changed on any battery",
    "switches": "charging, discharging, balancing and the like may be switched",
    "settings": "switches and settings may be changed, but no protections",
    "protections": "everything that can be changed may be changed, protections included",
}


def told(options: Options) -> Iterator[str]:
    """What would run and what would not, a line each; no secret among it."""
    yield from options.moved
    for bus in options.buses:
        yield f"bus {bus.name}: {_bus(bus)}"
    if not options.buses:
        yield "no bus: no battery is read"
    for one, other in options.batteries.same:
        yield f"battery {label(one)}: the one of {label(other)}"
    if not options.mqtt.problem:
        yield f"MQTT: {_mqtt(options)}"
    if not options.writes.problem:
        yield f"writes: {WRITES[options.writes.level]}"
    yield from (f"inverter: {_inverter(one)}" for one in options.inverters or (options.inverter,) if not one.problem)
    yield from (f"WRONG {line}" for line in (*options.problems, *_of_inverters(options)))


def troubles(options: Options) -> list[str]:
    """What is wrong, a line each."""
    buses = [f"bus {bus.name}: {bus.problem}" for bus in options.buses if bus.problem]
    return [*options.problems, *buses, *_of_inverters(options)]


def _of_inverters(options: Options) -> list[str]:
    """What is wrong with the bank and with those who are told of it; the first may be told of twice."""
    found = (options.bank.problem, options.inverter.problem, *(one.problem for one in options.inverters))
    return list(dict.fromkeys(filter(None, found)))


def _bus(bus: BusOptions) -> str:
    if bus.plugin is None:
        return f"WRONG {bus.problem}"
    target = bus.target
    missing = target.startswith("/") and not exists(target)
    return f"{bus.strategy} on {target}{', which is not plugged in now' if missing else ''}{_asked(bus)}"


def _asked(bus: BusOptions) -> str:
    if bus.values.get("mode") == "listen":
        return ", listening without asking"
    addresses, interval = bus.values.get("addresses"), bus.values.get("interval")
    asked = f", addresses {', '.join(map(str, sorted(addresses)))}" if addresses else ""
    return asked + (f", every {interval:g} s" if isinstance(interval, (int, float)) and interval else "")


def _mqtt(options: Options) -> str:
    mqtt = options.mqtt
    where = f"the broker at {mqtt.host}:{mqtt.port}" if mqtt.host else "the broker that Home Assistant names"
    return f"{where}{', encrypted' if mqtt.tls else ''}, topics below {mqtt.base_topic}"


def _inverter(inverter: InverterOptions) -> str:
    if not inverter.wanted:
        return "none"
    part = f", {100 * inverter.share:g} % of the currents" if inverter.share < 1 else ""
    unit = "baud" if inverter.serial else "bit/s"
    rate = f"{inverter.rate} {unit}" if inverter.rate else "the rate that is heard"
    what = f"{inverter.protocol} on {inverter.channel} at {rate}{part}"
    return what if inverter.emits else f"{what}; nothing is sent before confirmed is true"
