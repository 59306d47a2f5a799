"""What somebody wants to change at several batteries, looked at before anything is written. Pure.

The page shows it for review, and the same is worked out again when it is to be written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.battery.store import Key
from jkbms_addon.commands.plan import Step, arranged, differences, left_out, settings_of
from jkbms_addon.commands.rules import permitted
from jkbms_addon.errors import CommandError

MOST = 400  # changes of one proposal
Wishes = Mapping[Key, Mapping[str, Scalar]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Changes by battery, each in an order that breaks no rule on the way; what is refused and why; what is left out.

    ``left_out`` are settings that say what a battery has, copied only when they are named.
    """

    steps: tuple[tuple[Key, Step], ...] = ()
    refused: tuple[tuple[Key, str, str], ...] = ()
    left_out: tuple[tuple[Key, str], ...] = ()

    @property
    def protected(self) -> frozenset[Key]:
        """Batteries of which a protection is changed."""
        return frozenset(key for key, step in self.steps if _level(step.key) == "protections")


@dataclass(slots=True)
class Proposer:
    """What it looks at: values and changeable settings of a battery, the level of writing, the owner's chemistry."""

    values: Mapping[Key, Mapping[str, Value]]
    writable: Mapping[Key, frozenset[str]]
    level: str
    chemistry: str | None = None
    _steps: list[tuple[Key, Step]] = field(default_factory=list)
    _refused: list[tuple[Key, str, str]] = field(default_factory=list)
    _left: list[tuple[Key, str]] = field(default_factory=list)

    def proposal(self, wishes: Wishes, include: Iterable[str] | None = None) -> Proposal:
        """All of it; with ``include`` what says what a battery has stays, but for what is named there.

        ``CommandError`` when there is too much of it.
        """
        if sum(map(len, wishes.values())) > MOST:
            raise CommandError(f"more than {MOST} changes at once")
        for key, wanted in wishes.items():
            self._one(key, wanted, include)
        return Proposal(tuple(self._steps), tuple(self._refused), tuple(self._left))

    def _one(self, key: Key, wanted: Mapping[str, Scalar], include: Iterable[str] | None) -> None:
        values, usable = self.values.get(key), dict[str, Scalar]()
        for name, value in wanted.items():
            if why := self._forbidden(key, name):
                self._refused.append((key, name, why))
            else:
                usable[name] = value
        steps = differences(values or {}, usable)
        named = set() if include is None else set(left_out(steps, include))
        self._left += [(key, name) for name in sorted(named)]
        plan, refused = arranged(values or {}, [step for step in steps if step.key not in named], self.chemistry)
        self._steps += [(key, step) for step in plan]
        self._refused += [(key, name, why) for name, why in refused.items()]

    def _forbidden(self, key: Key, name: str) -> str:
        if key not in self.values:
            return "the battery is silent"
        if name not in self.writable.get(key, frozenset()):
            return f"{name} cannot be changed on bus {key[0]}"
        if not permitted(name, self.level):
            return "writing is off: see the option writes.level" if self.level == "off" else _below(name, self.level)
        return ""


def _below(name: str, level: str) -> str:
    return f"{name} is not allowed by writes.level {level}"


def _level(name: str) -> str:
    control = specs()[name].control if name in specs() else None
    return control.level if control else ""


def copied(source: Mapping[str, Value], writable: Iterable[str], targets: Iterable[Key]) -> Wishes:
    """The settings of one battery, wished for others."""
    settings = settings_of(source, writable)
    return dict.fromkeys(targets, settings)


def other_cells(source: Value, values: Mapping[str, Value]) -> str:
    """Why settings of a battery with these cells do not fit another, empty when they do or nobody knows."""
    own = values.get("battery_type")
    return f"has {own} cells, the settings are for {source}" if source and own and source != own else ""
