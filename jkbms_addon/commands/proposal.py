"""What somebody wants to change at several batteries, looked at before anything is written. Pure.

The page shows it for review, and the same is worked out again when it is to be written.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.battery.snapshot import Key
from jkbms_addon.commands.plan import Step, arranged, differences, left_out, settings_of
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


@dataclass(frozen=True, slots=True)
class Proposer:
    """What it looks at: values of the batteries that are heard, what is forbidden, and the owner's chemistry.

    ``forbidden`` says for a battery and a key why it may not be changed, empty when it may.
    """

    values: Mapping[Key, Mapping[str, Value]]
    forbidden: Callable[[Key, str], str]
    chemistry: str | None = None

    def proposal(self, wishes: Wishes, include: Iterable[str] | None = None) -> Proposal:
        """All of it; with ``include`` what says what a battery has stays, but for what is named there.

        ``CommandError`` when there is too much of it.
        """
        if sum(map(len, wishes.values())) > MOST:
            raise CommandError(f"more than {MOST} changes at once")
        every = [self._of(key, wanted, include) for key, wanted in wishes.items()]
        return Proposal(
            tuple(step for one in every for step in one.steps),
            tuple(row for one in every for row in one.refused),
            tuple(row for one in every for row in one.left_out),
        )

    def _of(self, key: Key, wanted: Mapping[str, Scalar], include: Iterable[str] | None) -> Proposal:
        """What is wanted of one battery."""
        if key not in self.values:
            return Proposal(refused=tuple((key, name, "the battery is silent") for name in wanted))
        values = self.values[key]
        forbidden = {name: why for name in wanted if (why := self.forbidden(key, name))}
        steps = differences(values, {name: value for name, value in wanted.items() if name not in forbidden})
        left = set() if include is None else set(left_out(steps, include))
        plan, refused = arranged(values, [step for step in steps if step.key not in left], self.chemistry)
        return Proposal(
            tuple((key, step) for step in plan),
            tuple((key, name, why) for name, why in {**forbidden, **refused}.items()),
            tuple((key, name) for name in sorted(left)),
        )


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
