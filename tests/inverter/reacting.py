"""Inverters that hear what a dialect says and react to it as reports and papers say that they do.

A decision becomes frames, the frames what such an inverter understands of them, and that moves the plant of the
charge control: what a dialect cannot say, or says in a way that the inverter takes amiss, shows there.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from jkbms_addon.charging.decision import Decision
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.pylontech_rs485 import Query, answer
from jkbms_addon.inverter.state import State, said
from tests.charging.plant import Inverter, Kind
from tests.inverter import receiver_rs485 as master
from tests.inverter.receivers import Told, receiver

Limits = tuple[float, float, float, float]  # CVL, CCL, DCL, charge
SHUT_DOWN, BACK = 10.0, 20.0  # % at which those switch off and on again that go by the charge
PATIENCE = 60.0  # s without frames until a Sunny Island gives up

# dialect -> how the inverters behave that speak it, as kinds of the plant
KINDS: dict[str, tuple[Kind, ...]] = {
    "pylontech": ("both", "voltage", "charge"),  # most; a Deye that ignores the current; a Deye off the grid
    "goodwe": ("both",),
    "pylontech_v2": ("both",),
    "victron": ("both", "voltage"),  # with a charger; with solar chargers that feed in
    "sol_ark": ("both",),
    "sma": ("discharger",),
    "deye_pcs": ("both", "charge"),
    "luxpower": ("both",),
    "growatt_lv": ("both",),
    "pylontech_rs485": ("both",),
}
SPOKEN = [(name, kind) for name, kinds in KINDS.items() for kind in kinds]


def over_rs485(state: State) -> Told:
    """What a master hears that asks for values, limits and alarms in turn."""

    def ask(command: int, read: Callable[[master.Letters], Told]) -> Told:
        return read(master.opened(answer(Query(2, command), state))[2])

    return ask(0x61, master.system_analog) | ask(0x63, master.system_management) | ask(0x62, master.system_alarms)


def over_can(name: str) -> Callable[[State], Told]:
    """What an inverter hears of a whole set."""
    hears = receiver(name)
    return lambda state: hears(DIALECTS[name].frames(state, adapted=True))


@dataclass(slots=True)
class Hearing(Inverter):
    """An inverter of the plant, off the grid, that hears one dialect."""

    dialect: str = "pylontech"
    heard: Callable[[State], Told] = field(init=False)
    coming: deque[tuple[float, Told]] = field(default_factory=deque)
    last: Told = field(default_factory=dict)
    frames_at: float = -inf
    dead: bool = False
    dropped: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.heard = over_rs485 if DIALECTS[self.dialect].port == "serial" else over_can(self.dialect)

    def tell(self, decision: Decision | None, now: float) -> None:
        """A set arrives as bytes, and is obeyed after the lag."""
        if decision is not None:
            found = self.heard(said(decision))
            self.dropped |= found.pop("dropped", set())
            self.coming.append((now + self.lag, found))
            self.frames_at = now
        elif self.dialect == "sma" and self.last and now - self.frames_at > PATIENCE:
            self.dead = True  # until somebody presses start
        while self.coming and self.coming[0][0] <= now:
            self.last = self.coming.popleft()[1]
            self.told = limits_of(self.last)

    def _switch(self, least: float, charge: float, _seconds: float) -> None:
        told = self.last
        if not told:
            return
        if self.dialect == "sma":
            standby = self.dead or bool(told["alarm_pairs"])
            enough = charge > SHUT_DOWN if self.on else charge >= BACK
            self.on = enough and not standby  # the limit of discharge is ignored off the grid
        elif self.kind == "charge":
            self.on = charge > SHUT_DOWN if self.on else charge >= BACK
        else:
            self.on = least > 0 and told.get("discharge_enabled", True) and not critical(self.dialect, told)


def limits_of(told: Told) -> Limits:
    """What is obeyed of what was heard."""
    may_charge = told.get("charge_enabled", True)
    return (
        told["charge_voltage"],
        told["charge_current"] if may_charge else 0.0,
        told["discharge_current"],
        float(told["state_of_charge"]),
    )


def critical(dialect: str, told: Told) -> bool:
    """An error that makes the inverter stop."""
    return dialect == "sol_ark" and "system" in told["alarms"]
