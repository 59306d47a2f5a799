"""Makes the decisions: once a second from the batteries, whatever the broker or the inverter's bus do.

The sender takes the latest one. A decision that is older than ``DEADMAN`` is no decision: should this loop
hang, the sender falls silent. What the owner set in Home Assistant and what the control has learned is kept in
``/data``, each written by a thread of its own (``files``), so that a slow disk does not delay a decision.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from copy import copy, deepcopy
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.candidate import Candidate, Key
from jkbms_addon.battery.chemistry import Name
from jkbms_addon.charging.asleep import told as told_asleep
from jkbms_addon.charging.cadence import PERIOD, Cadence
from jkbms_addon.charging.decide import Controller
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.kept_owner import KeptOwner
from jkbms_addon.charging.memory import Memory, remembered
from jkbms_addon.charging.owner import Owner, chosen, chosen_grid, effective
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.errors import CommandError
from jkbms_addon.kept import JsonFile, Saver

_LOGGER = logging.getLogger(__name__)
DEADMAN: Final = 3.0  # s
EARLY: Final = 0.05  # s that a decision is made before it is sent
SAVE_EVERY: Final = 60.0  # s
SAVE_SOONER: Final = 10.0  # s, where the voltage has moved or the phase changed
MOVED: Final = 0.05  # V
CONFIRM_WITHIN: Final = 30.0  # s in which discharging must be switched off a second time
DEFAULT: Final = "default"  # instead of a number: let the options decide again
SWITCHES: Final = ("enable", "charging", "discharging")
AHEAD: Final = (1.0, 2.0, 3.0, 4.0, 5.0)  # s; the zeros of a stop are three
BUTTONS: Final = ("charge_fully", "balance", "wake_up", "stop")


@dataclass(frozen=True, slots=True)
class Preview:
    """What is told then, without and with a change; None where nothing is. ``text`` says what is done."""

    text: str
    before: Decision | None
    after: Decision | None


class Control:
    """The bank and the decision of this moment. ``clock`` is monotonic, ``wall`` s since 1970.

    ``count`` grows with every step. ``kept`` and ``memory`` are the files of the owner and of the control.
    """

    def __init__(
        self,
        candidates: Callable[[float], Sequence[Candidate]],
        clock: Callable[[], float],
        *,
        wall: Callable[[], float] = time.time,
        expected: Callable[[], int] = lambda: 0,
        named: frozenset[Key] = frozenset(),
        setpoints: Setpoints | None = None,
        kept: JsonFile | None = None,
        memory: JsonFile | None = None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._candidates, self._told = candidates, told
        self.kept, self._memory = KeptOwner(kept, told), Saver(memory) if memory else None
        self.clock, self._wall = clock, wall
        remembered = _remembered(memory) if setpoints else Memory()
        self._bank, self._expected = BatteryBank(settings=remembered.told()), expected
        self.options = setpoints or Setpoints()
        self._controller: Controller | None = None
        if setpoints:
            self._controller = Controller(effective(setpoints, self.owner), remembered, named)
        self.state = BankState()
        self.count = 0
        self._decision: Decision | None = None
        self._fed = self._goodbye_at = -inf
        self._absent: frozenset[str] = frozenset()
        self._present: frozenset[str] = frozenset()
        self._saved, self._saved_at, self._saved_as = Memory(), -inf, ("", 0.0, False, False)
        self._asked_off = -inf

    @property
    def files(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What writes the files, each to be run until cancelled."""
        return (self.kept.run, *((self._memory.run,) if self._memory else ()))

    @property
    def owner(self) -> Owner:
        """What the owner set, as it holds now."""
        return self.kept.now

    @property
    def enabled(self) -> bool:
        """Whether the inverter may be told anything."""
        return self.owner.enabled

    async def run(self) -> None:
        """Decide once a second until cancelled."""
        cadence = Cadence(-EARLY)
        try:
            while True:
                self.step(self.clock())
                self._told()
                await asyncio.sleep(cadence.next(self.clock()) - self.clock())
        finally:
            self.keep(now=True)

    def step(self, now: float, *, stopping: bool = False) -> Decision | None:
        """Decide now; when ``stopping``, no charge a few times and then nothing."""
        candidates = self._candidates(now)
        self._bank.expected = self._expected()
        self.state = self._bank.step(candidates, now)
        self._fed, self.count = now, self.count + 1
        self._tell_absence()
        if self._controller:
            enabled = self.enabled and not stopping
            self._decision = self._controller.step(self.state, now, self._wall(), enabled=enabled)
            for event in self._controller.events():
                _LOGGER.info("charging: %s", event)
            self.keep()
        return self._decision

    def goodbye(self, now: float) -> Decision | None:
        """What is told last, for a few seconds, then None. Several inverters hear the same."""
        if now - self._goodbye_at >= PERIOD / 2:
            self._goodbye_at = now
            self.step(now, stopping=True)
        return self._decision

    def decision(self, now: float) -> Decision | None:
        """What may be told now; None for silence."""
        return self._decision if self._decision and not self._decision.expired(now) and not self.hangs(now) else None

    def hangs(self, now: float) -> bool:
        """Whether nobody has decided for too long."""
        return not now - self._fed < DEADMAN

    def bears(self, now: float) -> dict[Key, tuple[float, float]]:
        """What each pack contributes at most to charging and discharging, in A; empty where nobody decides."""
        return {} if self._controller is None or self.hangs(now) else self._controller.bears(self.state)

    def silence(self, now: float) -> str:
        """Why there is nothing to tell."""
        if self._fed > -inf and (self.hangs(now) or (self._decision and self._decision.expired(now))):
            return "no decision for 3 s: the program stood still"
        if not self.enabled:
            return self.kept.why_off
        absent = "; ".join(one.text for one in self.state.excluded)
        if absent:
            return f"no battery is heard: {absent}"
        return "waiting for the first complete data of " + ("all batteries" if self.state.counted else "a battery")

    # --- what the owner does in Home Assistant ---------------------------------------------------------------

    def command(self, key: str, text: str) -> None:
        """Do what a switch, button, number or select asks for; what is refused is told in one line."""
        with suppress(CommandError):  # it is in the log
            self.ask(key, text)

    def ask(self, key: str, text: str, who: str = "inverter", *, sure: bool = False) -> str:
        """Do the same and say what was done; ``CommandError`` says why it is refused.

        ``who`` asks, for the log. ``sure`` is he who has answered already whether he means it.
        """
        try:
            done = self._do(key, text.strip(), sure=sure)
        except CommandError as error:
            _LOGGER.warning("%s: %s is refused: %s", who, key, error)
            raise
        _LOGGER.info("%s: %s", who, done)
        return done

    def _do(self, key: str, text: str, *, sure: bool) -> str:
        if key in SWITCHES:
            return self._switch(key, text, sure=sure)
        if key in BUTTONS:
            return self._press(key)
        if key == "grid_charge":
            self._change(_changed(self.owner, key, chosen_grid(self.options, text)))
            return f"grid charge is {text}"
        if text == DEFAULT:
            self._change(_changed(self.owner, key, None))
            return f"{key} is left to the options"
        value = chosen(self.options, self.chemistry, key, text)
        self._change(_changed(self.owner, key, value))
        return f"{key} set to {value:g}"

    def _switch(self, key: str, text: str, *, sure: bool) -> str:
        if text not in ("ON", "OFF"):
            raise CommandError(f"the switch takes ON and OFF, not {text[:20]!r}")
        on = text == "ON"
        if key == "discharging" and not on and self.owner.discharging and not sure:
            self._confirmed_off()
        self._change(_changed(self.owner, "enabled" if key == "enable" else key, on))
        return f"{key} switched {'on' if on else 'off'}"

    def _confirmed_off(self) -> None:
        """A house off the grid goes dark, so it has to be said twice."""
        now = self.clock()
        if not now - self._asked_off <= CONFIRM_WITHIN:
            self._asked_off = now
            raise CommandError(
                "a house off the grid goes dark without discharging: switch it off again within "
                f"{CONFIRM_WITHIN:.0f} s if that is wanted"
            )
        self._asked_off = -inf

    def _press(self, key: str) -> str:
        if key == "stop":
            self._change(_changed(self.owner, "enabled", False))
            return "stopped"
        controller = self._controller
        if controller is None:
            raise CommandError("nothing is decided here")
        if key == "wake_up":
            return self._wake(controller)
        controller.ask("full" if key == "charge_fully" else "balance")
        return "charging fully" if key == "charge_fully" else "balancing"

    def _wake(self, controller: Controller) -> str:
        if not self.enabled:
            raise CommandError(self.kept.why_off)
        if why := controller.wake(self.clock()):
            raise CommandError(why)
        asleep = controller.asleep
        assert asleep is not None
        return f"waking up: {controller.waking_current:g} A for ten minutes; {told_asleep(asleep, self._wall())}"

    @property
    def chemistry(self) -> Name:
        """Of the cells, as far as it is known."""
        return self._decision.facts.chemistry if self._decision else "LFP"

    def _change(self, owner: Owner) -> None:
        self.kept.change(owner)
        if self._controller:
            self._controller.allow(effective(self.options, owner))

    # --- what would come of it ---------------------------------------------------------------------------------

    def preview(self, key: str, text: str) -> "Preview":
        """What would be told then, without and with something that the owner may do; nothing is done.

        What rises slowly has risen in both. ``CommandError`` says why it would be refused.
        """
        done, after = copy(self).tried(self.owner, key, text)
        return Preview(done, copy(self).tried(self.owner)[1], after)

    def tried(self, owner: Owner, key: str = "", text: str = "") -> tuple[str, Decision | None]:
        """Only for a copy: do it where nothing is kept, told or logged, and let the limits have risen."""
        self.kept, self._memory = KeptOwner(), None
        self.kept.change(owner)
        self._controller = deepcopy(self._controller)
        done = self._do(key, text.strip(), sure=True) if key else ""
        decision, now, wall = None, self.clock(), self._wall()
        for seconds in AHEAD:
            if self._controller:
                self._controller.risen()
                decision = self._controller.step(self.state, now + seconds, wall + seconds, enabled=self.enabled)
        return done, decision

    # --- what survives a restart ------------------------------------------------------------------------------

    def keep(self, *, now: bool = False) -> None:
        """Write what has to survive, now and then, sooner when it has moved; at once and for good at the end."""
        last = self._controller.last if self._controller else None
        if self._memory is None or self._controller is None or last is None:
            return
        at = self._fed - self._saved_at
        asleep = last.facts.asleep
        moving = (last.phase, last.charge_voltage, asleep, asleep and not self.state.counted)
        phase, voltage, was_asleep, was_gone = self._saved_as
        moved = phase != last.phase or abs(voltage - last.charge_voltage) > MOVED or was_asleep is not asleep
        gone = moving[3] and not was_gone  # whoever has switched himself off may take the house along
        if not (now or gone or at >= SAVE_EVERY or (moved and at >= SAVE_SOONER)):
            return
        memory = self._controller.memory(self._bank.settings)
        if memory != self._saved:
            self._memory.save(memory.model_dump(mode="json"))
        self._saved, self._saved_at = memory, self._fed
        self._saved_as = moving

    def _tell_absence(self) -> None:
        """One line when a battery leaves the bank, and one when it is back."""
        absent = frozenset(one.name for one in self.state.excluded)
        present = frozenset(view.name for view in self.state.counted)
        for one in self.state.excluded:
            if one.name not in self._absent:
                level = logging.WARNING if one.name in self._present else logging.INFO
                _LOGGER.log(level, "bank: %s does not count: %s", one.name, one.reason)
        for name in sorted(self._absent & present):  # some are gone, as they are known by another name now
            _LOGGER.info("bank: %s counts again", name)
        self._absent, self._present = absent, present


def _remembered(file: JsonFile | None) -> Memory:
    """What was learned before."""
    memory, wrong = remembered(file.load()) if file else (Memory(), "")
    if wrong:
        _LOGGER.warning("what the charge control remembered is lost: %s", wrong)
    return memory


def _changed(owner: Owner, key: str, value: float | str | None) -> Owner:
    """The same with one value changed, checked."""
    assert key in Owner.model_fields
    return Owner.model_validate({**owner.model_dump(), key: value})
