"""The loop closed: plant, bank, charge control, inverter; and what happened in it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.charging.decide import Controller
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.memory import Memory
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import WALL
from tests.charging.plant import DAY, Plant, candidates, open_circuit

WELL = 90.0  # s after which a pack that is well must be known to be: 60 of rest, 10 to come back, its mean and a poll


@dataclass(slots=True)
class Seen:
    """What happened; s, V, A. Voltages are those that the packs' BMSs measure."""

    seconds: float = 0.0
    told_most: float = 0.0
    voltage_most: float = 0.0
    cell_most: float = -9.0
    above: float = 0.0  # s more than 0.1 V above the ceiling
    dark: float = 0.0  # s without discharging although a pack could
    told_dark: float = 0.0  # s of DCL 0 although a pack may discharge and is not empty, as the control sees it
    sure_dark: float = 0.0  # s of DCL 0 although a pack has been well for long, as the plant knows
    mute: float = 0.0  # most s without a word although a pack has been well for long
    blind_dark: float = 0.0  # s of DCL 0 after all fell silent although they were charged well and free to discharge
    disobeyed: float = 0.0  # s in which a direction was told although the owner had switched it off
    charge_edges: int = 0
    discharge_edges: int = 0
    phases: int = 0
    fulls: list[float] = field(default_factory=list)  # true charge at each "full"
    full_at: list[float] = field(default_factory=list)  # s
    grid: bool = False
    charged: float = 0.0  # Ah
    high: float = 0.0  # s above 3.40 V a cell in the mean
    silent: float = 0.0
    blind: int = 0  # sets without a decision after the first

    def days(self) -> float:
        return max(self.seconds / DAY, 1e-9)


class Loop:
    """One plant and one charge control on one clock."""

    def __init__(
        self, plant: Plant, setpoints: Setpoints | None = None, *, poll: float = 2.0, begin: float = 0.0
    ) -> None:
        self.plant, self.poll = plant, poll
        self.setpoints = setpoints or Setpoints()
        self.now = begin
        self.seen = Seen()
        self.events: list[str] = []
        self._read: dict[int, tuple[float, object]] = {}
        self._lost_at = begin
        self._doubtful_at = begin  # when it was last so that the house might have to go dark with the data
        self._well_since = dict.fromkeys((one.address for one in plant.packs), begin)
        self._emptied: set[int] = set()  # who was near empty and has not shown by rest that it is not any more
        self._mute = 0.0
        self._coming_down = False  # the owner took the ceiling down below what the battery has at rest
        self.decision: Decision | None = None
        self.start()

    def start(self, memory: Memory | None = None) -> None:
        """The program starts."""
        self.bank, self.controller = BatteryBank(), Controller(self.setpoints, memory)
        self.state = BankState()
        self.running = True

    def restart(self, away: float = 0.0) -> None:
        """The program is started anew, ``away`` s later."""
        memory = Memory.model_validate_json(self.controller.memory().model_dump_json())
        self.running = False
        self.run(away, lambda _at: 0.0)
        self.start(memory)

    def change(self, setpoints: Setpoints) -> None:
        """The owner changes what is allowed."""
        before, self.setpoints = self.ceiling, setpoints
        self._coming_down = self._coming_down or self.ceiling < before
        self.controller.allow(setpoints)

    @property
    def ceiling(self) -> float:
        """V that the battery may have: the owner's, else what the packs ask for; more where he tells more."""
        return 16 * (self.setpoints.charge_voltage or 3.45) + max(0.0, self.setpoints.offset)

    @property
    def told_ceiling(self) -> float:
        """V above which nothing may be told."""
        return 16 * (self.setpoints.charge_voltage or 3.45) + self.setpoints.offset

    @property
    def phase(self) -> str:
        """The phase now."""
        return self.decision.phase if self.decision else ""

    def step(self, surplus: float, seconds: float = 1.0) -> Decision | None:
        """Go on with so many A of sun minus house."""
        self.now += seconds
        flowing = self.plant.step(surplus, seconds)
        before = self.decision
        if self.running:
            listed = candidates(self.plant.packs, self._read, self.now, self.poll)
            self.state = self.bank.step(listed, self.now)
            self.decision = self.controller.step(self.state, self.now, WALL + self.now)
            self.plant.inverter.tell(self.decision, self.now)
            self._note_events()
        else:
            self.plant.inverter.tell(None, self.now)
        self._note(before, flowing, surplus, seconds)
        return self.decision

    def run(self, seconds: float, surplus: Callable[[float], float], step: float = 1.0) -> Seen:
        """Go on for so many seconds; ``surplus`` is asked with the time."""
        end = self.now + seconds
        while self.now < end - 1e-6:
            self.step(surplus(self.now), step)
        return self.seen

    def _note_events(self) -> None:
        for event in self.controller.events():
            self.events.append(event)
            if event == "full":
                self.seen.fulls.append(self.plant.charge)
                self.seen.full_at.append(self.now)

    def _note(self, before: Decision | None, flowing: float, surplus: float, seconds: float) -> None:
        seen, now = self.seen, self.decision
        ceiling = self.ceiling
        closed = [one for one in self.plant.packs if not one.charge_open] or self.plant.packs
        voltage = max(one.voltage for one in closed)
        seen.seconds += seconds
        self._coming_down = self._coming_down and (voltage > ceiling or self._resting > ceiling)
        if not self._coming_down:
            seen.voltage_most = max(seen.voltage_most, voltage - ceiling)
            seen.above += seconds * (voltage > ceiling + 0.1)
        seen.cell_most = max(seen.cell_most, *(one.high - one.ovp for one in self.plant.packs))
        seen.charged += max(0.0, flowing) * seconds / 3600
        seen.high += seconds * (voltage / 16 > 3.40)
        inverter = self.plant.inverter
        if surplus < 0 and not inverter.on and self.plant.serves:
            seen.dark += seconds
        well = self._well()
        self._mute = self._mute + seconds if now is None and well else 0.0
        seen.mute = max(seen.mute, self._mute)
        if now is None:
            seen.blind += self.running and before is not None
            return
        seen.told_most = max(seen.told_most, now.charge_voltage - self.told_ceiling)
        dark = now.discharge_current <= 0 and self.setpoints.discharging
        seen.told_dark += seconds * (dark and not now.lost and self.controller.usable(self.state) > 0)
        seen.sure_dark += seconds * (dark and well)
        self._note_blind(now, seconds)
        seen.disobeyed += seconds * (not self.setpoints.charging and now.charge_current > 0)
        seen.disobeyed += seconds * (not self.setpoints.discharging and now.discharge_current > 0)
        seen.grid = seen.grid or (self.setpoints.grid == "never" and (now.wanted.now or now.wanted.full))
        if before is not None:
            seen.charge_edges += before.charge_current > 0 and now.charge_current <= 0
            seen.discharge_edges += (before.discharge_current > 0) != (now.discharge_current > 0)
            seen.phases += before.phase != now.phase

    @property
    def _resting(self) -> float:
        """V that the highest pack would have after a long rest."""
        return max(sum(group.count * open_circuit(group.charge) for group in one.cells) for one in self.plant.packs)

    def _well(self) -> bool:
        """Whether a pack has been heard, connected and far from empty for so long that it must serve the house."""
        for one in self.plant.packs:
            empty = max(one.uvp + 0.10, self.setpoints.empty_voltage or 0.0)
            if one.low <= empty + 0.02:
                self._emptied.add(one.address)
            rested = abs(one.current) < 0.04 * one.capacity and one.low > empty + 0.22
            good = one.heard and not one.discharge_open and (rested or one.address not in self._emptied)
            if not good:
                self._well_since[one.address] = self.now
            elif self.now - self._well_since[one.address] > WELL:
                self._emptied.discard(one.address)
        return any(self.now - since > WELL for since in self._well_since.values())

    def _note_blind(self, now: Decision, seconds: float) -> None:
        """While nothing is heard the house stays lit for a quarter of an hour, where the packs were well before."""
        if not now.lost:
            lifted = [0.2 * max(0.0, one.current) / one.capacity for one in self.plant.packs]
            lows = [one.low - more for one, more in zip(self.plant.packs, lifted, strict=True)]
            well = min(lows) > 3.23 and min(one.counted for one in self.plant.packs) > 22
            if not well or now.discharge_current <= 0:
                self._doubtful_at = self.now
            self._lost_at = self.now
        elif now.discharge_current <= 0 and self.setpoints.discharging and self._lost_at - self._doubtful_at > 15:
            self.seen.blind_dark += seconds * (self.now - self._lost_at < self.setpoints.hold - 15)


__all__ = ["Loop", "Seen", "pairwise", "replace"]
