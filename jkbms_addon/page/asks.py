"""What a client may ask for beside looking: unlock, plan a change, write it, copy, restore, save settings.

Theory of operation. A question has one answer. *Write* goes on: its steps are carried out one after the other by the
command queue, each checked again when its turn comes, each outcome told when it is known; the first that does not
hold ends it, and nothing is tried after the connection is gone or locked. One such write a client at a time.
Permission is the queue's: level, range, rules, the value that the page had shown, and the lock of this client.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.battery.snapshot import Key, label
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.control import BUTTONS, SWITCHES, Control
from jkbms_addon.charging.owner import NUMBERS
from jkbms_addon.commands import backup
from jkbms_addon.commands.command import DONE, Command, Outcome
from jkbms_addon.commands.plan import Step, settings_of
from jkbms_addon.commands.proposal import Proposal, Proposer, Wishes, copied, other_cells
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.errors import CommandError, OptionsError
from jkbms_addon.page import parts
from jkbms_addon.page.settings import chemistries, usual
from jkbms_addon.page.visitor import LOCKED, Visitor

Message = Mapping[str, Any]
Answer = dict[str, Any]
Tell = Callable[[Answer], Awaitable[None]]
LONGEST: Final = 60_000  # characters of a file of settings
LARGEST: Final = 1e9  # what a setting may be wished to be, whatever its range
SHORT: Final = 20  # characters of a number or word of the owner
OWNERS: Final = frozenset({*SWITCHES, *BUTTONS, *NUMBERS, "grid_charge"})
STOPPED: Final = "not tried: the one before was not done"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written, and what the page had shown of it by pack and key."""

    proposal: Proposal
    seen: Mapping[str, Any]
    number: object

    def shown(self, key: Key, name: str) -> Value:
        """What the page had shown of a setting, None where it did not say."""
        of_pack = self.seen.get(label(key))
        value = of_pack.get(name) if isinstance(of_pack, dict) else None
        return value if isinstance(value, (bool, int, float)) else None


@dataclass(slots=True)
class Asks:
    """Answers one client."""

    store: Store
    commands: CommandQueue
    control: Control
    visitor: Visitor
    tell: Tell
    writing: bool = False

    def answer(self, message: Message) -> Answer:
        """The answer to a question; ``CommandError`` says why there is none."""
        kind = message.get("t")
        answers: Mapping[object, Callable[[Message], Answer]] = {
            "unlock": self._unlock,
            "lock": self._lock,
            "plan": lambda asked: self._told(self._proposed(asked)),
            "copy": self._copy,
            "restore": self._restore,
            "backup": self._backup,
            "usual": self._usual,
            "owner": self._owner,
            "preview": self._preview,
        }
        if not isinstance(kind, str) or kind not in answers:
            raise CommandError("there is no such request")
        return answers[kind](message)

    # --- the lock ----------------------------------------------------------------------------------------
    def _unlock(self, _: Message) -> Answer:
        self.visitor.unlock()
        return self._locked()

    def _lock(self, _: Message) -> Answer:
        self.visitor.lock()
        return self._locked()

    def _locked(self) -> Answer:
        return {"t": "lock", "open": self.visitor.unlocked(), "left_s": round(self.visitor.left)}

    # --- plans -------------------------------------------------------------------------------------------
    def _proposer(self) -> Proposer:
        now = self.store.clock()
        online = [snapshot for snapshot in self.store if snapshot.online(now)]
        values = {snapshot.key: snapshot.values(now) for snapshot in online}
        return Proposer(values, self.commands.forbidden, self.commands.chemistry)

    def _proposed(self, message: Message) -> Proposal:
        return self._proposer().proposal(_wishes(message.get("changes")))

    def _told(self, proposal: Proposal) -> Answer:
        steps = [self._step_told(key, step) for key, step in proposal.steps]
        refused = [{"pack": label(key), "key": name, "reason": why} for key, name, why in proposal.refused]
        left = [{"pack": label(key), "key": name} for key, name in proposal.left_out]
        typed = [label(key) for key in sorted(_to_be_typed(proposal))]
        return {"t": "plan", "steps": steps, "refused": refused, "left_out": left, "typed": typed}

    def _step_told(self, key: Key, step: Step) -> Answer:
        """One change, and the wire where it is another one than the battery's name says."""
        told = {"pack": label(key), "key": step.key, "before": step.before, "to": step.wanted}
        wire = self.commands.routes.wire(key, step.key)
        return told if wire == key else {**told, "wire": label(wire)}

    def _copy(self, message: Message) -> Answer:
        source, targets = _key(message.get("from")), [_key(one) for one in _list(message.get("to"))]
        proposer = self._proposer()
        if source not in proposer.values:
            raise CommandError(f"{label(source)} is silent")
        if source in targets:
            raise CommandError(f"{label(source)} cannot be copied to itself")
        values = proposer.values[source]
        # the source may be one that is only read
        settings = frozenset().union(*map(self.commands.routes.settings, (source, *targets)))
        wishes = copied(values, settings, targets)
        return self._told(self._fitting(proposer, wishes, values.get("battery_type"), message))

    def _restore(self, message: Message) -> Answer:
        text, targets = message.get("text"), [_key(one) for one in _list(message.get("to"))]
        if not isinstance(text, str) or len(text) > LONGEST:
            raise CommandError("this is no file of saved settings")
        try:
            saved = backup.read(text, "the file")
        except (OptionsError, RecursionError) as error:
            raise CommandError(str(error)[:200]) from error
        wishes = dict.fromkeys(targets, saved.settings)
        return self._told(self._fitting(self._proposer(), wishes, saved.identity.get("battery_type"), message))

    def _fitting(self, proposer: Proposer, wishes: Wishes, cells: Value, message: Message) -> Proposal:
        """For packs with such cells only."""
        for key in wishes:
            if why := other_cells(cells, proposer.values.get(key, {})):
                raise CommandError(f"{label(key)} {why}")
        return proposer.proposal(wishes, [one for one in _list(message.get("include")) if isinstance(one, str)])

    def _backup(self, message: Message) -> Answer:
        key = _key(message.get("pack"))
        snapshot = self.store.get(key)
        values = snapshot.values(self.store.clock()) if snapshot else {}
        settings = settings_of(values, specs())
        if not settings:
            raise CommandError(f"the settings of {label(key)} are not known")
        now = datetime.now().astimezone()
        text = backup.written(backup.Backup(settings, backup.identity(values)), now)
        return {"t": "file", "name": f"jkbms-{key[0]}-{key[1]}-{now:%Y%m%d-%H%M}.json", "text": text}

    def _usual(self, _: Message) -> Answer:
        """What is usual for each setting with the cells that there are."""
        cells = chemistries(self.store, self.commands.chemistry)
        return {"t": "usual", "facts": {key: facts for key in parts.SETTINGS if (facts := usual(key, cells))}}

    def _owner(self, message: Message) -> Answer:
        """What the owner of the inverter does: its numbers, switches and buttons, each as in Home Assistant."""
        key, to = self._wish(message)
        sure = message.get("sure") is True  # the page has asked, and shown what comes of it
        return {"t": "told", "text": self.control.ask(key, to, f"inverter, {self.visitor.source}", sure=sure)}

    def _preview(self, message: Message) -> Answer:
        """What the inverter would be told then; nothing is done yet."""
        found = self.control.preview(*self._wish(message))
        before, after = parts.limits(found.before), parts.limits(found.after)
        return {"t": "preview", "text": found.text, "before": before, "after": after}

    def _wish(self, message: Message) -> tuple[str, str]:
        if not self.visitor.unlocked():
            raise CommandError(LOCKED)
        key, to = message.get("key"), message.get("to", "")
        if not isinstance(key, str) or key not in OWNERS or not isinstance(to, str) or len(to) > SHORT:
            raise CommandError("there is no such switch, button or number")
        return key, to

    # --- writing -----------------------------------------------------------------------------------------
    def begun(self, message: Message) -> Plan:
        """The plan that is to be carried out now. ``CommandError`` when it may not."""
        if self.writing:
            raise CommandError("another write of this page is under way")
        if not self.visitor.unlocked():
            raise CommandError(LOCKED)
        proposal, seen = self._proposed(message), message.get("seen")
        self._confirmed(proposal, message.get("typed"))
        self.writing = True
        return Plan(proposal, seen if isinstance(seen, dict) else {}, message.get("id"))

    async def written(self, plan: Plan) -> None:
        """Carry it out, and tell it step by step."""
        try:
            await self._steps(plan)
        finally:
            self.writing = False

    def _confirmed(self, proposal: Proposal, typed: object) -> None:
        if proposal.refused:
            key, _, why = proposal.refused[0]
            raise CommandError(f"{label(key)}: {why}")
        if not proposal.steps:
            raise CommandError("nothing differs")
        missing = [name for key in sorted(_to_be_typed(proposal)) if (name := label(key)) not in _list(typed)]
        if missing:
            raise CommandError(f"protections of several packs are changed: type the name of {missing[0]}")

    async def _steps(self, plan: Plan) -> None:
        stopped, steps = False, plan.proposal.steps
        for n, (key, step) in enumerate(steps):
            told = {"t": "step", "id": plan.number, "n": n, "of": len(steps), "pack": label(key)}
            if stopped:
                done: Answer = {"result": "refused", "reason": STOPPED, "before": step.before, "after": None}
            else:
                done = await self._step(key, step, plan.shown(key, step.key))
                stopped = done["result"] not in DONE
            await self.tell({**told, "key": step.key, "to": step.wanted, **done})
        await self.tell({"t": "done", "id": plan.number, "ok": not stopped})

    async def _step(self, key: Key, step: Step, seen: Value) -> Answer:
        told = asyncio.Queue[Outcome]()
        ticket = self.commands.outcomes.ticket(told.put_nowait)
        now = self.store.clock()
        command = Command(*key, step.key, step.wanted, now, self.visitor.source, seen=seen, ticket=ticket)
        self.commands.take(command, lock=self.visitor.unlocked, locked=LOCKED)
        outcome = await told.get()
        return {
            "result": outcome.result,
            "reason": outcome.reason,
            "before": outcome.before,
            "after": outcome.after,
            "at": round(outcome.at, 1),
        }


def _to_be_typed(proposal: Proposal) -> frozenset[Key]:
    """Batteries whose names must be typed: protections, where more than one battery is written."""
    return proposal.protected if len({key for key, _ in proposal.steps}) > 1 else frozenset()


def _list(content: object) -> list[Any]:
    return content if isinstance(content, list) else []


def _key(content: object) -> Key:
    bus, _, address = content.rpartition("/") if isinstance(content, str) else ("", "", "")
    if not bus or not address.isascii() or not address.isdigit() or len(address) > 3:
        raise CommandError(f"{json.dumps(content)[:40]} is no battery")
    return bus, int(address)


def _wishes(content: object) -> Wishes:
    found: dict[Key, dict[str, Scalar]] = {}
    for one in _list(content):
        if not isinstance(one, dict) or not isinstance(name := one.get("key"), str) or name not in specs():
            raise CommandError("a change needs pack, key and to")
        value = one.get("to")
        if not isinstance(value, bool | int | float) or not abs(value) < LARGEST:  # NaN, too
            raise CommandError(f"{name}: {json.dumps(value)[:40]} is no value")
        found.setdefault(_key(one.get("pack")), {})[name] = value
    if not found:
        raise CommandError("nothing is to be changed")
    return found
