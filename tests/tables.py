"""The tables of the manual that are made from the program's own tables; ``python -m tests.documents`` renews them.

A table stands between ``<!-- table:NAME -->`` and ``<!-- end -->``. A test compares.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from inspect import getdoc, isroutine
from math import isinf
from pathlib import Path
from typing import Any

from jkbms_addon.acquisition import ttl_line
from jkbms_addon.acquisition.contract import GROUP, load
from jkbms_addon.acquisition.diagnosis import REASONS, Reason
from jkbms_addon.battery.alarms import ALARMS, CAN_ENTRIES, CAN_LEVEL_NAMES, LEGACY, WORD, Alarm, alarm_key, slug
from jkbms_addon.battery.chemistry import CELLS as CHEMISTRIES
from jkbms_addon.battery.plausibility import CELL_JUMP, COARSE, CONTRADICTIONS, JUMPS, RESISTANCE_JUMP, Jump
from jkbms_addon.battery.quantities import Spec, alarm_spec, specs
from jkbms_addon.charging.owner import NUMBERS, Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.commands.rules import LEVELS, RULES
from jkbms_addon.inverter.dialects import DIALECTS, Dialect
from jkbms_addon.inverter.dialects.menus import PROFILES, SOCKETS, Profile
from jkbms_addon.inverter.options import BANK, DETAILS, INVERTER, detail
from jkbms_addon.inverter.several import LISTED
from jkbms_addon.views import bank, battery, charging, inverter
from jkbms_addon.views.entities import shown_as
from jkbms_addon.views.health import BRIDGE_DIAGNOSTICS, BUS_DIAGNOSTICS
from jkbms_addon.wire.jkcan.frames import V2_LEVELS
from jkbms_addon.wire.pb.registers import WRITABLE
from jkbms_addon.wire.pb.tables import CELLS
from jkbms_addon.wire.ttl.tags import CHANGEABLE, NEVER, WRITABLE_BY_KEY, Tag
from jkbms_addon.wire.ttl.tags import TABLE as TTL_TABLE
from tests.charging.fail_safe import ROWS as FAIL_SAFE

FIRST = Path(__file__).parent.parent / "DOCS.md"
MANUAL = FIRST.parent / "docs"
INVERTERS = MANUAL / "inverters.md"
Row = tuple[str, ...]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _yes(state: bool) -> str:
    return "yes" if state else "no"


# --- entities ------------------------------------------------------------------------------------------
_ENTITY = ("key", "name", "unit", "kind", "topic", "enabled")


def _entity(key: str, spec: Spec) -> Row:
    kind = shown_as(spec) + (", diagnostic" if spec.diagnostic else "")
    unit = spec.unit or (" / ".join(spec.options) if spec.options else "")
    if not spec.listed:
        return _code(key), spec.name, unit, kind, spec.topic, _yes(spec.enabled)
    every = f"`{key}_1` … `{key}_{CELLS}`"
    return every, f"{spec.name} 1 … {CELLS}", unit, kind, spec.topic, _yes(spec.enabled)


def entities() -> str:
    """Every quantity of a battery, in the order of the table."""
    alarms = {alarm_key(name) for name in ALARMS}
    first = {f"{key}_1": key for key, spec in specs().items() if spec.listed}
    rows = (
        (first.get(key, key), spec)
        for key, spec in battery.table().items()
        if key not in alarms and (not spec.listed or key in first)
    )
    return table(_ENTITY, (_entity(key, spec) for key, spec in rows))


def diagnostics() -> str:
    """What is told of the link to a battery, of every bus and of the whole."""
    rows = [
        *(("battery", _code(key), *_brief(spec)) for key, spec in battery.DIAGNOSTICS.items()),
        *(("bridge", _code(key), *_brief(spec)) for key, spec in BRIDGE_DIAGNOSTICS.items()),
        *(("bridge", f"`<bus>_{key}`", *_brief(spec, "*bus* ")) for key, spec in BUS_DIAGNOSTICS.items()),
    ]
    return table(("device", "key", "name", "unit", "kind", "enabled"), rows)


def _brief(spec: Spec, before: str = "") -> Row:
    return f"{before}{spec.name}", spec.unit or "", shown_as(spec), _yes(spec.enabled)


def alarms() -> str:
    """The alarm bits of the RS485 frames."""
    return _bits(WORD)


def alarms_ttl() -> str:
    """The alarm bits of the first generation."""
    return _bits(LEGACY)


def alarms_can() -> str:
    """The entries of the alarm frame on the BMS's CAN; each has a flag of its own at its two worse levels."""
    return table(
        ("entry", "alarm", "keys", "severity when severe", "in V2"),
        (
            (
                str(number),
                alarm.label,
                ", ".join(_code(alarm_key(name)) for name in names[:2]),
                alarm.severity,
                _yes(names[0] in V2_LEVELS),
            )
            for number, (alarm, names) in enumerate(zip(CAN_ENTRIES, CAN_LEVEL_NAMES, strict=True), 1)
        ),
    )


def _bits(word: Iterable[Alarm]) -> str:
    return table(
        ("bit", "key", "name", "severity", "enabled"),
        (
            (
                str(bit),
                _code(alarm_key(slug(alarm.label))),
                alarm.label,
                alarm.severity,
                _yes(alarm_spec(alarm).enabled),
            )
            for bit, alarm in enumerate(word)
        ),
    )


EVIDENCE = {
    "proven": "batteries in use take it",
    "refused by some": "firmware 11 does not take it",
    "experimental": "documented as writable, but nobody has shown that it works",
}


def settings_ttl() -> str:
    """The settings of the first generation, which of them can be changed, and what is known of that."""
    rows = (_setting_ttl(row, row.fields[0].key) for row in TTL_TABLE if row.kind == "settings")
    return table(("key", "name", "can be changed", "what is known"), rows)


def _setting_ttl(row: Tag, key: str) -> Row:
    known = EVIDENCE[WRITABLE_BY_KEY[key].evidence if key in WRITABLE_BY_KEY else "experimental"]
    return (
        _code(key),
        specs()[key].name,
        _yes(key in CHANGEABLE),
        "never written, see above" if row.id in NEVER else known,
    )


# --- options -------------------------------------------------------------------------------------------
def options() -> str:
    """The options of every installed strategy of this package, as its plug-in declares them."""
    return table(
        ("strategy", "option", "default", "what it may be"),
        (
            (_code(name), _code(str(marker)), _default(marker), _meaning(marker, validator))
            for name in built_in()
            for marker, validator in load(name).rows.items()
        ),
    )


def inverter_options() -> str:
    """The options of the sections ``bank`` and ``inverter``, the latter's in the two sections of the form."""
    own = sorted(INVERTER.schema.items(), key=lambda row: detail(str(row[0])))
    of_inverter = ((DETAILS if detail(str(row[0])) else "inverter", *row) for row in own)
    rows = [*(("bank", *row) for row in BANK.schema.items()), *of_inverter]
    return table(
        ("section", "option", "default", "what it is"),
        (
            (_code(section), _code(str(marker)), _default(marker), _meaning(marker, validator))
            for section, marker, validator in rows
        ),
    )


def built_in() -> list[str]:
    """Names of the strategies that this package brings."""
    package = GROUP.partition(".")[0]
    return sorted(point.name for point in entry_points(group=GROUP) if point.module.partition(".")[0] == package)


def _default(marker: Any) -> str:
    default = getattr(marker, "default", None)
    if callable(default):
        value = default()
        return _code(str(value).lower() if isinstance(value, bool) else str(value))
    return "required" if type(marker).__name__ == "Required" else "none"


def _meaning(marker: Any, validator: Any) -> str:
    """First line of the marker's description, else of what the validator says of itself."""
    if getattr(marker, "description", None):
        return str(marker.description)
    if isroutine(validator):
        line = (getdoc(validator) or "").partition("\n")[0]
        return line.replace("``", "`")
    choices = getattr(validator, "container", None)
    return f"one of {', '.join(map(str, choices))}" if choices else getattr(validator, "__name__", "")


# --- plausibility --------------------------------------------------------------------------------------
def contradictions() -> str:
    """What cannot be true of any battery."""
    return table(("rule", "reason"), ((rule.name, rule.reason) for rule in CONTRADICTIONS))


def jumps() -> str:
    """How far a value may move from one frame to the next."""
    rows = [_jump(jump) for jump in JUMPS]
    rows += [
        ("`cell_voltage`, against the mean of all", _amount(CELL_JUMP, "cell_voltage"), "0", "cells move together"),
        ("`cell_resistance`", _amount(RESISTANCE_JUMP, "cell_resistance"), "0", "a wire stays what it is"),
    ]
    return table(_JUMP, rows)


_JUMP = ("quantity", "at once", "and each second", "reason")


def _jump(jump: Jump) -> Row:
    return _code(jump.key), _amount(jump.at_once, jump.key), _amount(jump.per_second, jump.key), jump.reason


def jumps_ttl() -> str:
    """Where a value of the first generation may move in another way."""
    return table(_JUMP, (_jump(jump) for jump in COARSE))


def _amount(number: float, key: str) -> str:
    unit = specs()[key].unit
    if isinf(number):
        return "any"
    return f"{number:g} {unit}" if number and unit else f"{number:g}"


def symptoms() -> str:
    """What the program says of a bus that does not work, with cause and remedy."""
    return _reasons(REASONS)


def symptoms_ttl() -> str:
    """What the program says of a UART-TTL port on which no battery is heard."""
    return _reasons(ttl_line.REASONS)


def _reasons(reasons: Mapping[str, Reason]) -> str:
    rows = ((reason.symptom, reason.cause, reason.remedy) for reason in reasons.values())
    return table(("the reason begins with", "likely cause", "what to do"), rows)


def inverter_entities() -> str:
    """What the devices "Battery bank" and "Inverter" show."""
    shares = ("battery bank", f"`{bank.SHARING}<pack>`", "Share of pack *pack*", "%", "sensor", "yes")
    return table(
        ("device", "key", "name", "unit", "kind", "enabled"),
        (
            *(("battery bank", _code(key), *_brief(spec)) for key, spec in bank.ENTITIES.items()),
            shares,
            *(("inverter", _code(key), *_brief(spec)) for key, spec in inverter.ENTITIES.items()),
            *(
                ("inverter", _code(key), spec.name, spec.unit or "", takes.kind, _yes(spec.enabled))
                for key, (spec, takes) in inverter.CONTROLS.items()
            ),
            *(
                ("inverter", _code(one.key), one.label, one.spec.unit or "", one.kind, _yes(one.spec.enabled))
                for one in charging.controls(charging.Charge(None, Owner(), Setpoints()))
            ),
        ),
    )


def fail_safe() -> str:
    """What an inverter is told when something happens; every row is shown by a test."""
    return table(("event", "what the inverter is told"), ((row.event, row.told) for row in FAIL_SAFE))


def owner_numbers() -> str:
    """What the owner sets: option, default, range in Home Assistant."""
    rows = ((_code(key), one.name, f"{one.low:g} to {one.high:g}", one.unit or "") for key, one in NUMBERS.items())
    return table(
        ("key", "name", "range for LFP", "unit"), ((_code(f"set_{row[0].strip('`')}"), *row[1:]) for row in rows)
    )


# --- writing -------------------------------------------------------------------------------------------
def writable() -> str:
    """Every setting of the PB series that can be changed, by level; cell voltages narrowed by chemistry elsewhere."""
    rows = [
        (_code(key), spec.control.level, *_limits(spec))
        for level in LEVELS
        for key, spec in specs().items()
        if spec.control and spec.control.level == level and key in WRITABLE
    ]
    return table(("key", "level", "range", "step", "unit"), rows)


def _limits(spec: Spec) -> Row:
    control = spec.control
    if control is None or spec.kind == "flag":
        return "on, off", "", ""
    return f"{control.minimum:.12g} to {control.maximum:.12g}", f"{control.step:g}", spec.unit or ""


def rules() -> str:
    """What must hold between settings."""
    return table(
        ("setting", "must be", "other setting", "reason"),
        (
            (_code(rule.lower), "below or equal to" if rule.equal else "below", _code(rule.upper), rule.reason)
            for rule in RULES
        ),
    )


def chemistries() -> str:
    """Cell voltages that make sense for each kind of cell."""
    rows = ((one.name, f"{one.lowest:g} to {one.highest:g} V") for one in CHEMISTRIES.values())
    return table(("cells", "every voltage of a cell"), rows)


NOBODY = "\u2013"  # a dash where there is nothing


def makers() -> str:
    """What to set in which inverter, and which protocol goes with it."""
    head = ("inverter", "set in its menu", "`protocol`", "rests on", "good to know")
    return table(head, map(_maker, PROFILES.values()))


def _maker(one: Profile) -> Row:
    ways = [f"{'over RS485 ' if n and _serial(name) else ''}{_code(name)}" for n, name in enumerate(one.protocols)]
    return (
        _marked(one.name),
        _marked(one.menu) or NOBODY,
        ", else ".join(ways) or NOBODY,
        ", ".join(one.rests_on) or NOBODY,
        _marked(one.note),
    )


def sockets() -> str:
    """The pins of the battery port of which inverter."""
    head, usual = ("inverter", "socket", "CAN H", "CAN L", "ground", "RS485", "from"), SOCKETS["usual"]
    rows = (
        (
            *(one.inverter, one.name, _pin(one.high, usual.high), _pin(one.low, usual.low)),
            *("look it up" if one.ground is None else str(one.ground), one.rs485 or NOBODY, one.rests_on),
        )
        for one in SOCKETS.values()
    )
    return table(head, rows)


def _pin(number: int, usual: int) -> str:
    return str(number) if number == usual else f"**{number}**"


def _serial(protocol: str) -> bool:
    return DIALECTS[protocol].port == "serial"


def _marked(text: str) -> str:
    """A text with its options and protocols as code, and the words of a menu as such."""
    named = re.sub(rf"\b({'|'.join(sorted(DIALECTS, key=len, reverse=True))}|stop_after)\b", r"`\1`", text)
    return re.sub(r'"([^"]+)"', r"*\1*", named)


def _sent(dialect: Dialect) -> str:
    if dialect.port == "serial":
        return "answers " + " ".join(f"{command:02X}" for command in sorted(dialect.heard))
    return " ".join(f"{message.can_id:03X}" for message in dialect.messages)


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(texts) or "none"


def dialects() -> str:
    """What each dialect sends, hears, cannot say and must not send, and what it rests on."""
    rows = (
        (
            _code(one.name),
            one.title,
            one.proof,
            _sent(one),
            "its queries" if one.port == "serial" else " ".join(f"{can_id:03X}" for can_id in sorted(one.heard)),
            _listed(one.lacks),
            _listed(one.never),
        )
        for one in DIALECTS.values()
    )
    return table(("protocol", "what it is", "rests on", "frames", "heard", "cannot say", "never sent"), rows)


def dialect_stops() -> str:
    """What an inverter makes of a current limit of 0."""
    rows = (
        (
            _code(one.name),
            f"{one.stop_charging.effect}: {one.stop_charging.says} ({one.stop_charging.rests_on})",
            f"{one.stop_discharging.effect}: {one.stop_discharging.says} ({one.stop_discharging.rests_on})",
            _yes(one.soc_decides),
            _yes(one.alarm_stops),
            "not known" if one.silence_after is None else f"{one.silence_after:.0f} s",
        )
        for one in DIALECTS.values()
    )
    head = (
        "protocol",
        "charging stopped",
        "discharging stopped",
        "charge decides",
        "any alarm stops all",
        "bears silence for",
    )
    return table(head, rows)


def inverters_options() -> str:
    """The options of one inverter of the list."""
    return table(
        ("option", "default", "what it is"),
        (
            (_code(str(marker)), _default(marker), _meaning(marker, validator))
            for marker, validator in LISTED.schema.items()
        ),
    )


OF_INVERTERS: Mapping[str, Callable[[], str]] = {
    "makers": makers,
    "sockets": sockets,
    "dialects": dialects,
    "dialect_stops": dialect_stops,
    "inverters_options": inverters_options,
}
TABLES: Mapping[str, Callable[[], str]] = {
    "options": options,
    "inverter_options": inverter_options,
    "inverter_entities": inverter_entities,
    "fail_safe": fail_safe,
    "owner_numbers": owner_numbers,
    "entities": entities,
    "alarms": alarms,
    "alarms_ttl": alarms_ttl,
    "alarms_can": alarms_can,
    "diagnostics": diagnostics,
    "contradictions": contradictions,
    "symptoms": symptoms,
    "symptoms_ttl": symptoms_ttl,
    "jumps": jumps,
    "jumps_ttl": jumps_ttl,
    "writable": writable,
    "rules": rules,
    "chemistries": chemistries,
    "settings_ttl": settings_ttl,
}
_BETWEEN = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(text: str, tables: Mapping[str, Callable[[], str]] = TABLES) -> str:
    """The text with each of these tables made anew; others are left as they are."""
    return _BETWEEN.sub(
        lambda found: f"{found[1]}\n{tables[found[2]]()}\n\n{found[3]}" if found[2] in tables else found[0], text
    )
