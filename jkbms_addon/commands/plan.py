"""Many settings changed in an order that breaks no rule on the way. Pure.

Where the present and the wanted settings satisfy the rules there always is such an order: a setting that rises
waits for the one above it, one that falls for the one below it, and that never runs in a circle.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.commands.rules import check_rules, checked, permitted, same, shown
from jkbms_addon.errors import CommandError

# what a battery has, not how it is used: copied only when it is named
NAMED = frozenset({"total_battery_capacity"})


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a plan; ``before`` is what the BMS says now, None when it does not tell."""

    key: str
    before: Value
    wanted: Scalar

    def __str__(self) -> str:
        before = "unknown" if self.before is None else shown(self.key, self.before)
        return f"{self.key}: {before} -> {shown(self.key, self.wanted)}"


def settings_of(values: Mapping[str, Value], writable: Iterable[str]) -> dict[str, Scalar]:
    """The settings that can be changed and are known, in the order of the table."""
    wanted = frozenset(writable)
    return {
        key: value
        for key, spec in specs().items()
        if key in wanted and spec.control and (value := values.get(key)) is not None and not isinstance(value, tuple)
    }


def differences(present: Mapping[str, Value], wanted: Mapping[str, Scalar]) -> list[Step]:
    """What is not yet as wanted, in the order of ``wanted``."""
    return [Step(key, present.get(key), value) for key, value in wanted.items() if not same(present.get(key), value)]


def left_out(steps: Iterable[Step], include: Iterable[str] = ()) -> list[str]:
    """Settings that differ and stay as they are, because they must be named and are not."""
    return [step.key for step in steps if step.key in NAMED - frozenset(include)]


def forbidden(steps: Iterable[Step], level: str) -> list[str]:
    """Settings of a plan that the configured level does not allow."""
    return [step.key for step in steps if not permitted(step.key, level)]


def ordered(present: Mapping[str, Value], steps: Iterable[Step], chemistry: str | None = None) -> list[Step]:
    """The same changes, each allowed by range and rules after those before it; switches come last.

    ``chemistry`` is the owner's word. ``CommandError`` names what stands in the way of each that is left when none of
    them can be next.
    """
    plan, refused = arranged(present, steps, chemistry)
    if refused:
        raise CommandError("; ".join(refused.values()))
    return plan


def arranged(
    present: Mapping[str, Value], steps: Iterable[Step], chemistry: str | None = None
) -> tuple[list[Step], dict[str, str]]:
    """What can be changed, in an order as above, and what cannot: why, by key."""
    pending = sorted(steps, key=lambda step: specs()[step.key].kind == "flag")
    reached, plan = dict(present), list[Step]()
    while pending:
        refusals = [refusal(step, reached, chemistry) for step in pending]
        if all(refusals):
            return plan, {step.key: why for step, why in zip(pending, refusals, strict=True)}
        step = pending.pop(refusals.index(""))
        reached[step.key] = step.wanted
        plan.append(step)
    return plan, {}


def refusal(step: Step, values: Mapping[str, Value], chemistry: str | None = None) -> str:
    """Why a change cannot be made now, empty when it can."""
    try:
        check_rules(step.key, checked(step.key, step.wanted, values, chemistry), values)
    except CommandError as error:
        return str(error)
    return ""
