"""What the set-up of a first inverter is shown: menus and protocols, limits proposed from the packs, and a rehearsal.

Nothing is sent, kept or changed here, so everybody who may look may ask. What was chosen is reviewed and saved as all
options are.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from jkbms_addon.bank.bank import BankState
from jkbms_addon.battery.snapshot import label
from jkbms_addon.charging.proposal import packs, proposal
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.errors import CommandError
from jkbms_addon.inverter.dialects import DIALECTS, Dialect
from jkbms_addon.inverter.dialects.menus import PROFILES, SOCKETS, Profile, Socket
from jkbms_addon.inverter.dialects.words import Statement
from jkbms_addon.inverter.rehearsal import Rehearsal, Spoken, rehearsed
from jkbms_addon.page import parts
from jkbms_addon.page.options import CHANGED, Answer, Message
from jkbms_addon.page.place import supervised
from jkbms_addon.page.sources import Sources

STEP: Final = 6  # digits behind the point of what was read back


async def shown(sources: Sources, _: Message) -> Answer:
    """What there is to choose from, and what the packs that count now would bear."""
    place, bank = sources.options, _bank(sources)
    raw = await place.read()
    told = await place.worked(lambda: {**place.editor.inverter(raw), **_proposed(bank, place.editor.setpoints(raw))})
    profiles = [_profile(one) for one in PROFILES.values()]
    dialects = {name: _dialect(one) for name, one in DIALECTS.items()}
    return {"t": "inverter_setup", "home": supervised(), "profiles": profiles, "dialects": dialects, **told}


async def rehearse(sources: Sources, message: Message) -> Answer:
    """What an inverter would be told with the options that were chosen; or what is wrong with them, by key."""
    place, bank, now = sources.options, _bank(sources), sources.store.clock()
    raw = await place.read()
    if place.editor.total(raw) != message.get("sum"):
        raise CommandError(CHANGED)
    options, wrong = await place.worked(lambda: place.editor.rehearsed(raw, message.get("inverter")))
    if wrong:
        return {"t": "inverter_rehearsal", "errors": wrong}
    local, owner, energy = datetime.now().astimezone(), sources.control.owner, sources.energies.of("bank")
    found = await place.worked(lambda: rehearsed(options, bank, now, local, owner, energy))
    off = "" if owner.enabled else sources.control.kept.why_off
    return {"t": "inverter_rehearsal", "errors": [], "off": off, "missing": _missing(bank), **_rehearsal(found)}


def _bank(sources: Sources) -> BankState:
    """The packs that count now; none where nobody has looked for too long."""
    control = sources.control
    return BankState() if control.hangs(sources.store.clock()) else control.state


def _missing(bank: BankState) -> list[list[str]]:
    """Packs that do not count, and why."""
    return [[label(one.key), one.reason] for one in bank.excluded]


def _proposed(bank: BankState, owner: Setpoints) -> dict[str, Any]:
    each = [
        {
            "pack": label(one.key),
            "cells": one.cells,
            "kind": one.chemistry,
            "charge_voltage": parts.rounded(one.charge_voltage, 3),
            "charge_current": parts.rounded(one.charge_current, 1),
            "discharge_current": parts.rounded(one.discharge_current, 1),
        }
        for one in packs(bank)
    ]
    found = {key: [parts.rounded(one.value, 3), one.why] for key, one in proposal(bank, owner).items()}
    return {"packs": each, "missing": _missing(bank), "proposal": found}


def _profile(one: Profile) -> dict[str, Any]:
    return {
        "key": one.key,
        "name": one.name,
        "menu": one.menu,
        "protocols": one.protocols,
        "rests_on": one.rests_on,
        "note": one.note,
        "bitrate": one.bitrate,
        "socket": _socket(SOCKETS[one.socket]),
    }


def _socket(one: Socket) -> dict[str, Any]:
    return {"name": one.name, "high": one.high, "low": one.low, "ground": one.ground}


def _dialect(one: Dialect) -> dict[str, Any]:
    return {"title": one.title, "port": one.port, "proof": one.proof, **parts.speaks(one)}


def _rehearsal(found: Rehearsal) -> dict[str, Any]:
    return {
        "limits": parts.limits(found.decision),
        "frames": [_frame(one) for one in found.spoken],
        "otherwise": [[one.key, parts.rounded(one.decided, 2), parts.rounded(one.told, 2)] for one in found.otherwise],
        "why": found.why,
    }


def _frame(one: Spoken) -> dict[str, Any]:
    """A frame by its id, or an answer by its query, whose bytes are letters."""
    letters = one.data.startswith(b"~")
    name = f"{one.number:02X}" if letters else f"0x{one.number:03X}"
    data = one.data.decode("ascii").strip() if letters else one.data.hex(" ").upper()
    return {"id": name, "bytes": data, "says": list(_said(one.says))}


def _said(says: Iterable[Statement]) -> Iterable[list[Any]]:
    for one in says:
        value = round(one.value, STEP) if isinstance(one.value, float) else one.value
        yield [one.key, value, one.unit, one.digits]
