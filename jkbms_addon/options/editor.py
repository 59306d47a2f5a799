"""The options, changed by somebody who sees no file: forms, checks, and what would change. It blocks.

Theory of operation. A *draft* is a list of buses; each names the one that it was (``was``, a number from 0) and, where
it was touched, its new values (``bus``) and which secrets stay as they are (``keep``). Or it is an object with a first
``inverter``, as long as there is none. It is checked by what checks the options file. No secret is told: where one
stands, it is ``KEPT`` or ``NEW``. What is outside of the draft is never changed.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import voluptuous as vol

from jkbms_addon import validators
from jkbms_addon.acquisition.contract import BusOptions, attempted, foreign, known, load
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.options import DETAILS, InverterOptions
from jkbms_addon.link.place import real
from jkbms_addon.options import first_inverter
from jkbms_addon.options.coming_from import UNTOUCHED
from jkbms_addon.options.file import PLUGIN, Options, modern, parse, sharing
from jkbms_addon.options.first_inverter import fits
from jkbms_addon.options.plain_yaml import changed, written
from jkbms_addon.options.sections import parted
from jkbms_addon.options.words import troubles
from jkbms_addon.validators import filled, secret, secrets_of, unit_address

KEPT, NEW = "(kept)", "(new)"  # in place of a secret
MOST: Final = 32  # buses
SHORT: Final = 5  # characters of a secret
LONGEST: Final = first_inverter.LONGEST  # characters of a value
# what is asked for in the browser; a validator of a plug-in that is not known takes a text or a number
KINDS: Final[Mapping[object, str]] = {
    validators.port: "port",
    validators.channel: "channel",
    validators.tcp_port: "number",
    validators.interval: "number",
    validators.pause: "number",
    validators.address: "number",
    validators.yes_no: "flag",
    validators.pin: "secret",
    validators.host: "text",
    validators.addresses: "text",
    validators.ble_unit: "text",
    validators.adapter: "text",
}
CHOICES: Final[Mapping[object, tuple[object, ...]]] = {
    validators.baudrate: (115200, 9600),
    validators.bitrate: (250000, 500000),
}
FOUND: Final = frozenset(  # what a scan finds out, whatever stood there before
    ("strategy", "mode", "addresses", "port", "baudrate", "host", "tcp_port", "mac")
)
Raw = dict[str, Any]
Errors = Sequence[tuple[int | str, str, str]]  # number of the bus, or ``inverter``; key; the sentence


@dataclass(frozen=True, slots=True)
class Review:
    """What a draft would do: the options to be saved, what is wrong where, and what differs."""

    options: Raw
    errors: tuple[tuple[int | str, str, str], ...]
    notes: tuple[str, ...]  # what would be wrong elsewhere
    diff: tuple[str, ...]
    text: str  # of what was drafted, to be pasted, as YAML
    json: str  # and as it stands in a file, without the braces around it

    def told(self) -> dict[str, Any]:
        """All of it but the options."""
        told = {"errors": self.errors, "notes": self.notes, "diff": self.diff}
        return {**told, "text": self.text, "json": self.json}


class Editor:
    """Of one program; ``running`` is what it runs with."""

    def __init__(self, running: Options) -> None:
        self._running = _meant(running)
        self._key = secrets.token_bytes(32)  # without it, nobody can try secrets against a sum

    def total(self, raw: object) -> str:
        """A sum of the options, by which it is known whether somebody changed them meanwhile."""
        text = json.dumps(raw, sort_keys=True, default=str)
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:24]

    def shown(self, raw: object, entry: object = None) -> dict[str, Any]:
        """The buses without secrets, the forms, and where an entry that was found belongs."""
        today, _ = modern(raw)
        buses, options = today.get("buses", []), parse(today)
        told: list[dict[str, Any]] = []
        for bus, read in zip(buses, options.buses, strict=True):
            own = filled(bus)
            kept = [key for key in own if secret(key)]
            shown = {_plain(key): _plain(value) for key, value in own.items() if key not in kept}
            told.append({"bus": shown, "kept": kept, "problem": self.scrubbed(read.problem, raw)})
        pending = _meant(options) != self._running
        proposed = _proposed(buses, entry) if isinstance(entry, dict) else None
        more = {"forms": forms(), "foreign": foreign(), "sum": self.total(raw), "pending": pending}
        return {"buses": told, **more, **({"proposed": proposed} if proposed else {})}

    def reviewed(self, raw: Any, draft: object) -> Review:  # noqa: ANN401 - decoded JSON
        """What a draft would do; ``OptionsError`` where it is none."""
        today, _ = modern(raw)
        if isinstance(draft, dict) and "inverter" in draft:
            section = first_inverter.drafted(draft["inverter"], today)
            after = _after(raw, today, {"inverter": section})
            wrong = [("inverter", key, text) for key, text in first_inverter.wrong(section, parse(after))]
            return _review(raw, today, after, wrong, "inverter")
        rows = list(_drafted(draft, today.get("buses", [])))
        after = _after(raw, today, {"buses": [bus for bus, _ in rows]})
        known_already = frozenset(_problems(parse(today).buses))
        errors = list(_errors([bus for bus, _ in rows], [touched for _, touched in rows], known_already))
        return _review(raw, today, after, errors, "buses")

    def inverter(self, raw: object) -> dict[str, Any]:
        """The inverters that the options name, none where one may be set up, and whether they wait for a restart."""
        today, _ = modern(raw)
        options = parse(today)
        named = first_inverter.named(today, options)
        return {"named": named, "sum": self.total(raw), "pending": _meant(options) != self._running}

    def setpoints(self, raw: object) -> Setpoints:
        """What the owner has written already of how far and how fast."""
        return parse(raw).inverter.setpoints

    def rehearsed(self, raw: Any, section: object) -> tuple[InverterOptions, list[tuple[str, str]]]:  # noqa: ANN401
        """A first inverter as the program would run it, and what is wrong with it by key; ``OptionsError``."""
        today, _ = modern(raw)
        drafted = first_inverter.drafted(section, today)
        options = parse(_after(raw, today, {"inverter": drafted}))
        return options.inverter, first_inverter.wrong(drafted, options)

    def scrubbed(self, text: str, *options: object) -> str:
        """A text of somebody else, without what may be a secret of these options; he may quote all of them."""
        hidden = {value: "***" for one in options for value in secrets_of(one)}
        return _scrubbed(text.partition(" Got ")[0], hidden)[:LONGEST]

    def same(self, sent: object, held: object) -> bool:
        """Whether options are held as they were sent; the Supervisor may make a text of a number."""
        if isinstance(sent, dict) and isinstance(held, dict):
            return all(self.same(value, held.get(key)) for key, value in sent.items())
        if isinstance(sent, list) and isinstance(held, list):
            return len(sent) == len(held) and all(map(self.same, sent, held))
        return sent == held or str(sent) == str(held)


def _after(raw: Raw, today: Raw, part: Raw) -> Any:  # noqa: ANN401 - decoded JSON
    """All options with a part that is new."""
    # a section whose contents were read as ours stays, empty: the Supervisor demands all of them
    emptied = {key: type(value)() for key, value in raw.items() if key in today or isinstance(value, dict | list)}
    return _full(parted({**emptied, **today, **part}))


def _review(raw: Raw, today: Raw, after: Raw, errors: Errors, part: str) -> Review:
    """What it would do that a part of the options is another one."""
    hidden = {**dict.fromkeys(secrets_of(after), NEW), **dict.fromkeys(secrets_of(raw), KEPT)}
    told = ("bus ", "inverter") if part == "inverter" else "bus "  # at its field
    before = set(troubles(parse(today)))
    news = (line for line in troubles(parse(after)) if line not in before and not line.startswith(told))
    old, new = _masked(_full(raw), hidden), _masked(after, hidden)
    parts = (part, DETAILS) if part == "inverter" else (part,)
    shown = {key: new[key] for key in parts if key == part or new.get(key) or old.get(key)}
    return Review(
        after,
        tuple((where, key, _scrubbed(text, hidden)) for where, key, text in errors),
        tuple(dict.fromkeys(_scrubbed(line, hidden) for line in news)),
        tuple(changed(written(old), written(new))),
        written(shown),
        _plain(",\n".join(f'"{key}": {_indented(value)}' for key, value in shown.items()), 0),
    )


def _indented(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


# --- forms ------------------------------------------------------------------------------------------------
def forms() -> dict[str, list[dict[str, Any]]]:
    """The fields of each strategy that can be used, from the schema that checks them."""
    found = {}
    for name in known():
        try:
            found[name] = attempted(partial(_fields, name), "its options cannot be listed")
        except OptionsError:
            continue  # it is told where a bus names it
    return found


def _fields(name: str) -> list[dict[str, Any]]:
    return [_field(marker, validator) for marker, validator in load(name).rows.items()]


def _field(marker: Any, validator: object) -> dict[str, Any]:  # noqa: ANN401 - a marker of voluptuous, or a text
    default = marker.default() if isinstance(marker, vol.Optional) and callable(marker.default) else None
    required = isinstance(marker, vol.Required)
    field = {"key": str(marker), "kind": "any", "required": required, "default": _plain(default)}
    if isinstance(validator, vol.In):
        return {
            **field,
            "kind": "choice",
            "choices": [_plain(one) for one in cast("Iterable[object]", validator.container)],
        }
    try:
        if validator in CHOICES:
            return {**field, "kind": "choice", "choices": list(CHOICES[validator])}
        return {**field, "kind": KINDS.get(validator, "secret" if secret(str(marker)) else "any")}
    except TypeError:  # a validator that cannot be looked up, such as a list
        return field


# --- drafts -----------------------------------------------------------------------------------------------
def _drafted(draft: object, before: Sequence[Any]) -> Iterator[tuple[Any, bool]]:
    """The bus of each row, and whether it was touched."""
    if not isinstance(draft, list) or len(draft) > MOST:
        raise OptionsError(f"buses: must be a list of at most {MOST}")
    used = [row.get("was") for row in draft if isinstance(row, dict) and row.get("was") is not None]
    if len(set(map(str, used))) < len(used):
        raise OptionsError("buses: one was named twice")
    for row in draft:
        if not isinstance(row, dict):
            raise OptionsError("buses: must be objects")
        earlier = _earlier(row.get("was"), before)
        if "bus" not in row:
            yield earlier, False
        else:
            yield _filled(row["bus"], row.get("keep"), earlier), True


def _earlier(was: object, before: Sequence[Any]) -> Any:  # noqa: ANN401
    if was is None:
        return {}
    if isinstance(was, bool) or not isinstance(was, int) or not 0 <= was < len(before):
        raise OptionsError("buses: there is no such bus")
    return before[was]


def _filled(bus: object, keep: object, earlier: object) -> Raw:
    """The values that were typed, and secrets that stay."""
    if not isinstance(bus, dict) or not all(fits(key, value) for key, value in bus.items()):
        raise OptionsError("buses: values must be short texts, numbers or true and false")
    own = filled(earlier)
    kept = {key: own[key] for key in (keep if isinstance(keep, list) else []) if key in own and secret(key)}
    return {**filled(bus), **kept}


def _plain(value: Any, most: int = LONGEST) -> Any:  # noqa: ANN401
    """A value as it can be sent, whatever stands in a file."""
    if not isinstance(value, str):
        return value if value is None or (isinstance(value, int | float) and fits("", value)) else str(value)[:most]
    return value.encode(errors="replace").decode()[: most or None]


def _full(content: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """The same without what is null, which the Supervisor takes for missing."""
    if isinstance(content, dict):
        return {key: _full(value) for key, value in content.items() if value is not None}
    return [_full(one) for one in content] if isinstance(content, list) else content


# --- checks -----------------------------------------------------------------------------------------------
def _errors(rows: Sequence[Any], touched: Sequence[bool], before: frozenset[str]) -> Iterator[tuple[int, str, str]]:
    """What is wrong with each bus that was touched, or is by now: number, key, and the sentence."""
    read = parse({"buses": list(rows)}).buses
    for n, (row, problem) in enumerate(zip(rows, _problems(read), strict=True)):
        if touched[n]:
            for line in _wrong(row, read[n]) or filter(None, [problem]):
                key, colon, text = line.partition(": ")
                # what is said of several options stands above them all
                yield (n, key, text) if colon and key.replace("_", "").isalnum() else (n, "", line)
        elif problem and problem not in before:
            yield n, "", problem


def _problems(buses: Sequence[BusOptions]) -> Iterator[str]:
    """What is wrong with each bus, empty where nothing is."""
    for n, bus in enumerate(buses):
        yield bus.problem or sharing(bus, buses[:n])


def _wrong(row: Raw, bus: BusOptions) -> list[str]:
    """Every line that the checks of the options file have for a bus, the first alone where they end with it."""
    if not bus.problem:
        return []
    values = validators.given(row, ("name", "strategy", PLUGIN))
    try:
        attempted(lambda: load(str(row.get(PLUGIN) or bus.strategy)).schema(values), "its options cannot be checked")
    except OptionsError as error:
        cause = error.__cause__
        lines = [validators.explained(one) for one in cause.errors] if isinstance(cause, vol.MultipleInvalid) else []
        return lines if bus.problem in lines else [bus.problem]
    return [bus.problem]


def _meant(options: Options) -> tuple[object, ...]:
    """What the program does by these options, as far as it is changed here."""
    buses = [(bus.name, bus.strategy, dict(bus.values)) for bus in options.buses]
    return buses, options.inverter, options.inverters


# --- what was found by a scan -----------------------------------------------------------------------------
def _proposed(buses: Sequence[Any], entry: Raw) -> Raw:
    """Where an entry belongs: in place of the bus with that link, or of one that nobody filled in; else it is new."""
    target = _link(entry)
    for n, bus in enumerate(buses):
        if [bus] in UNTOUCHED:
            return {"was": n, "bus": {**filled(entry), "name": bus["name"]}, "keep": []}
        if isinstance(bus, dict) and target and _link(bus) == target:
            return {"was": n, **_replaced(bus, entry)}
    names = {str(bus.get("name")) for bus in buses if isinstance(bus, dict)}
    name = free = str(entry.get("name") or "bus")
    count = 1
    while free in names:
        count += 1
        free = f"{name}_{count}"
    return {"was": None, "bus": {**filled(entry), "name": free}, "keep": []}


def _replaced(bus: Raw, entry: Raw) -> Raw:
    """An entry with what its owner has set beside, as far as its strategy knows it, and the secrets that stay."""
    found = filled(entry)
    known = {"name", *(field["key"] for field in forms().get(str(found.get("strategy")), []))}
    own = {key: value for key, value in filled(bus).items() if key in known - FOUND}
    kept = [key for key in own if secret(key)]
    return {"bus": {**found, **{key: _plain(value) for key, value in own.items() if key not in kept}}, "keep": kept}


def _link(bus: Raw) -> str:
    if port := bus.get("port"):
        return real(str(port))
    if unit := bus.get("mac"):
        return unit_address(str(unit))
    return f"{bus['host']}:{bus.get('tcp_port')}" if bus.get("host") else ""


# --- secrets ----------------------------------------------------------------------------------------------
def _masked(content: Any, hidden: Mapping[str, str], *, inside: bool = False) -> Any:  # noqa: ANN401 - decoded JSON
    """The options with a word in place of each secret."""
    if isinstance(content, dict):
        return {key: _masked(value, hidden, inside=inside or secret(str(key))) for key, value in content.items()}
    if isinstance(content, list):
        return [_masked(value, hidden, inside=inside) for value in content]
    return hidden.get(str(content), content) if inside else content


def _scrubbed(text: str, hidden: Mapping[str, str]) -> str:
    for value in sorted(hidden, key=len, reverse=True):
        # a short one is a part of many words that tell nothing of it
        whole = re.escape(value) if len(value) > SHORT else rf"(?<!\w){re.escape(value)}(?!\w)"
        text = re.sub(whole, hidden[value], text)
    return text
