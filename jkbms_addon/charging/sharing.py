"""How much current all packs together bear in one direction. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jkbms_addon.bank.bank import BankState, weights
from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.alarms import alarm_text
from jkbms_addon.charging.cell_limits import Bounds, bounds
from jkbms_addon.charging.derating import MARGIN, Latches, Limit, highest_cell, pack_limit
from jkbms_addon.charging.faults import Direction
from jkbms_addon.charging.setpoints import Policy

Standing = tuple[Key, Literal["heard", "counts", "sound", "carries"]]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The limit, and what it rests on: which packs are heard, count, are sound, carry its current."""

    limit: Limit
    packs: frozenset[Standing]


def allowed(
    bank: BankState, limits: Mapping[Key, Bounds], policy: Policy, direction: Direction, latches: Latches
) -> Allowed:
    """The narrowest of: what the packs share, what the options allow, and what forbids it altogether."""
    each = [(view, pack_limit(view, limits[view.key], policy, direction, latches)) for view in bank.counted]
    usable = [(view, limit) for view, limit in each if view.usable(direction)]
    option = policy.max_charge_current if direction == "charge" else policy.max_discharge_current
    found = [_together(usable, bank, direction)]
    if option is not None:
        found.append(Limit(option, f"option max_{direction}_current"))
    if policy.require_all and len(bank.counted) < bank.expected:
        found.append(Limit(0, f"{len(bank.counted)} of {bank.expected} packs, and all are required"))
    if direction == "charge":
        found += _full_cells(bank, policy, latches)
    return Allowed(min(found, key=_amps), frozenset(_standings(bank, direction)))


def _standings(bank: BankState, direction: Direction) -> Iterator[Standing]:
    for view in _heard(bank):
        yield view.key, "heard"
    for view in bank.counted:
        yield view.key, "counts"
        if not bank.faulty:
            yield view.key, "sound"
        if view.usable(direction):
            yield view.key, "carries"


def _heard(bank: BankState) -> list[View]:
    return [*bank.counted, *(one.view for one in bank.excluded if one.view)]


def _amps(limit: Limit) -> float:
    return limit.amps


def _together(usable: Sequence[tuple[View, Limit]], bank: BankState, direction: Direction) -> Limit:
    if not usable:
        return Limit(0, _nobody(bank, direction))
    if bank.faulty:
        return _weakest(usable, bank, direction)
    weighted = weights([view for view, _ in usable])
    total = sum(weight for _, weight in weighted)
    shares = [
        Limit(MARGIN * limit.amps * total / weight, limit.why)
        for (_, limit), (_, weight) in zip(usable, weighted, strict=True)
    ]
    return min(shares, key=_amps)


def _weakest(usable: Sequence[tuple[View, Limit]], bank: BankState, direction: Direction) -> Limit:
    """Packs that all have a fault get no more than the weakest of them bears, and nothing where one forbids it."""
    stopped = next((view for view in bank.counted if view.stopped(direction)), None)
    if stopped:
        return Limit(0, _trouble(stopped, direction))
    weakest = min((limit for _, limit in usable), key=_amps)
    return Limit(MARGIN * weakest.amps, weakest.why)


def _trouble(view: View, direction: Direction) -> str:
    if view.stopped(direction):
        return f"pack {view.label}: {alarm_text(view.alarms) or '; '.join(view.faults)}"
    return f"{direction} MOSFET of pack {view.label} off"


def _nobody(bank: BankState, direction: Direction) -> str:
    return ", ".join(_trouble(view, direction) for view in bank.counted)


def _full_cells(bank: BankState, policy: Policy, latches: Latches) -> list[Limit]:
    """A full cell that is heard stops charging, even in a pack that does not count: its MOSFET may be stuck."""
    found = [(view, highest_cell(view, bounds(view, policy))) for view in _heard(bank)]
    return [Limit(0, taper.why) for view, taper in found if latches.factor(view.key, "charge", taper) <= 0]
