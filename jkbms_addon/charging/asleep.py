"""A battery that is empty and has switched itself off, over a restart of the program. Pure.

It can never be heard again without charge, so what a blind charge rests on has to be remembered: how cold it was, and
up to which voltage it may be charged. The set points of now still bound what was so then.
"""

from math import inf

from jkbms_addon.bank.bank import BankState
from jkbms_addon.charging.cell_limits import Narrowest
from jkbms_addon.charging.decision import Decision, Facts
from jkbms_addon.charging.memory import Asleep
from jkbms_addon.charging.phases import DAY, Progress
from jkbms_addon.charging.requests import Wanted
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.charging.voltage import downwards

DIGITS = 3


def noted(last: Decision, narrowest: Narrowest, at: float) -> Asleep | None:
    """What has to be remembered of the last decision, made at ``at`` s since 1970; None of a battery not empty."""
    if not last.facts.asleep:
        return None
    voltage, current, coldest = last.heard
    return Asleep(
        at=round(at),
        coldest=coldest,
        voltage=round(voltage, DIGITS),
        current=round(current, DIGITS),
        state_of_charge=last.state_of_charge,
        state_of_health=last.bank.state_of_health,
        capacity=last.bank.full_charge_capacity,
        packs=last.bank.packs_online,
        cells=narrowest.cells,
        chemistry=narrowest.chemistry,
        charge=narrowest.charge,
        floating=narrowest.floating,
        empty=narrowest.empty,
        least=last.discharge_voltage,
    )


def recalled(asleep: Asleep, setpoints: Setpoints, progress: Progress, wall: float) -> Decision:
    """The decision that a battery once heard leaves behind: nothing in either direction, at most up to float."""
    charge = min(asleep.charge, setpoints.charge_voltage or inf)
    floating = min(asleep.floating, setpoints.float_voltage or inf, charge)
    since = progress.last_full
    return Decision(
        charge_voltage=downwards(asleep.cells * floating + min(0.0, setpoints.offset)),
        charge_current=0.0,
        discharge_current=0.0,
        discharge_voltage=asleep.least,
        charge_enabled=False,
        discharge_enabled=False,
        state_of_charge=asleep.state_of_charge,
        wanted=Wanted(),
        phase=progress.phase,
        reasons={
            "discharge_voltage": f"discharge down to {asleep.least:.1f} V: as last decided",
            "state_of_charge": "",
        },
        bank=BankState(),
        valid_until=-inf,
        facts=Facts(
            last_full=since,
            days_since_full=None if since is None else max(0.0, (wall - since) / DAY),
            absorbed=progress.clock,
            learned=progress.learned,
            trim=0.0,
            may_charge=0,
            may_discharge=0,
            empty=(),
            chemistry=asleep.chemistry,
            charge_voltage=charge,
            float_voltage=floating,
            empty_voltage=asleep.empty,
            findings=(),
            asleep=True,
        ),
        lost=True,
        recalled=asleep,
    )


def told(asleep: Asleep, wall: float) -> str:
    """When a sleeping battery was heard and how cold it was, for its owner."""
    days = max(0.0, wall - asleep.at) / DAY
    cold = "at an unknown temperature" if asleep.coldest is None else f"at {asleep.coldest:.0f} °C"
    return f"last heard {days:.1f} days ago {cold}"
