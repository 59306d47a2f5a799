"""``settings``: save, compare, restore and copy the settings of BMSs, while the app is stopped."""

import argparse
import asyncio
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.battery.quantities import Value, specs
from jkbms_addon.cli.run import log_to_stderr
from jkbms_addon.cli.visit import Visit, chosen, visiting
from jkbms_addon.commands import backup
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.backup import Backup
from jkbms_addon.commands.command import DONE, Outcome
from jkbms_addon.commands.plan import NAMED, Step, differences, forbidden, left_out, ordered, settings_of
from jkbms_addon.commands.proposal import other_cells
from jkbms_addon.commands.rules import shown
from jkbms_addon.errors import CommandError, OptionsError
from jkbms_addon.link.place import exists
from jkbms_addon.options.file import DEFAULT_FILE, read
from jkbms_addon.validators import ADDRESSES

Plans = dict[int, list[Step]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--options", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s")
    common.add_argument("--bus", required=True, metavar="B", help="name of a bus in the options")
    common.add_argument("--address", required=True, type=_address, metavar="N", help="address of the BMS, 0 to 15")
    actions = parser.add_subparsers(dest="action", required=True, metavar="save|diff|apply")
    save = actions.add_parser("save", parents=[common], help="write the settings of a BMS into a new file")
    save.add_argument("file", type=Path, metavar="FILE")
    diff = actions.add_parser("diff", parents=[common], help="show what differs from a file or from another BMS")
    either = diff.add_mutually_exclusive_group(required=True)
    either.add_argument("file", type=Path, nargs="?", metavar="FILE")
    either.add_argument("--with", dest="other", type=_address, metavar="M", help="address of another BMS")
    apply = actions.add_parser("apply", parents=[common], help="write what differs from a file, or copy to other BMSs")
    either = apply.add_mutually_exclusive_group(required=True)
    either.add_argument("file", type=Path, nargs="?", metavar="FILE")
    either.add_argument("--to", type=_addresses, metavar="2-6", help="copy the settings of BMS N to these")
    apply.add_argument("--dry-run", action="store_true", help="show the plan and write nothing")
    named = ", ".join(sorted(NAMED))
    apply.add_argument(
        "--include", nargs="+", action="extend", default=[], choices=sorted(NAMED), metavar="KEY", help=f"also {named}"
    )
    parser.set_defaults(usage_error=parser.error)


def _address(text: str) -> int:
    if not re.fullmatch(r"\d{1,2}", text, re.ASCII) or int(text) not in ADDRESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is no address from 0 to 15")
    return int(text)


def _addresses(text: str) -> list[int]:
    wanted: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part, re.ASCII)
        if not found or not (span := range(int(found[1]), int(found[2] or found[1]) + 1)) or span[-1] > max(ADDRESSES):
            raise argparse.ArgumentTypeError(f"{text!r} must be addresses from 0 to 15 such as 2-6 or 1,3")
        wanted.update(span)
    return sorted(wanted)


def run(args: argparse.Namespace) -> int:
    """0 when done or nothing was to do, 1 when something failed or ``diff`` found something, 2 for wrong usage.

    ``OptionsError`` for options and files that cannot be used, ``LinkError`` when the bus cannot be opened.
    """
    log_to_stderr("warning")
    options = read(args.options)
    if args.bus not in {bus.name for bus in options.buses}:
        args.usage_error(f"--bus: {args.bus!r} is not in {args.options}")
    if args.address in (getattr(args, "to", None) or ()) or args.address == getattr(args, "other", None):
        args.usage_error(f"BMS {args.address} cannot be compared with or copied to itself")
    bus = chosen(options, args.bus)
    if args.action == "apply" and options.writes.problem:
        raise OptionsError(options.writes.problem)
    task = Task(bus, options.writes.level, Audit(args.options.resolve().parent), options.inverter.setpoints.chemistry)
    try:
        return asyncio.run(_carried_out(args, task))
    except CommandError as error:
        print(f"jkbms_addon: {error}" + ("\nnothing was written" if args.action == "apply" else ""), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        task.audit.stop()


@dataclass(frozen=True, slots=True)
class Task:
    """The bus to work on, what may be changed there, and where that is written down: where the app does."""

    bus: BusOptions
    level: str
    audit: Audit
    chemistry: str | None

    def visiting(self, addresses: Iterable[int]) -> AbstractAsyncContextManager[Visit]:
        """The bus, open for these addresses."""
        return visiting(self.bus, addresses, self.level, self.audit, self.chemistry)

    @property
    def writable(self) -> frozenset[str]:
        """Settings that can be changed on it."""
        return self.bus.writable


async def _carried_out(args: argparse.Namespace, task: Task) -> int:
    if args.action == "save":
        return await _save(args, task)
    saved = _read(args.file) if args.file else None
    if args.action == "diff":
        return await _diff(args, task, saved)
    return await _apply(args, task, saved)


# --- save ----------------------------------------------------------------------------------------------
async def _save(args: argparse.Namespace, task: Task) -> int:
    if exists(args.file):
        raise OptionsError(f"{args.file} exists already; a backup is never overwritten")
    async with task.visiting([args.address]) as visit:
        values = (await visit.values([args.address]))[args.address]
    one = Backup(settings_of(values, task.writable), backup.identity(values))
    try:
        with args.file.open("x", encoding="utf-8") as file:
            file.write(backup.written(one, datetime.now().astimezone()))
    except OSError as error:
        raise OptionsError(f"{args.file} cannot be written: {error.strerror}") from error
    print(f"{args.file}: {len(one.settings)} settings of BMS {args.address} ({one.who})")
    return 0


def _read(path: Path) -> Backup:
    try:
        return backup.read(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise OptionsError(f"{path} is no text") from error
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}") from error


# --- diff ----------------------------------------------------------------------------------------------
async def _diff(args: argparse.Namespace, task: Task, saved: Backup | None) -> int:
    addresses = [args.address] if saved else [args.address, args.other]
    async with task.visiting(addresses) as visit:
        values = await visit.values(addresses)
    other = saved.settings if saved else settings_of(values[args.other], task.writable)
    steps = differences(values[args.address], other)
    if not steps:
        print("nothing differs")
        return 0
    print(table(steps, f"BMS {args.address}", args.file.name if saved else f"BMS {args.other}"))
    return 1


def table(steps: Iterable[Step], left: str, right: str) -> str:
    """What differs, one line for each setting."""
    rows = [("setting", left, right, "unit")]
    rows += [(step.key, _bare(step.before), _bare(step.wanted), specs()[step.key].unit or "") for step in steps]
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _bare(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "unknown" if value is None else str(value)


# --- apply ---------------------------------------------------------------------------------------------
async def _apply(args: argparse.Namespace, task: Task, saved: Backup | None) -> int:
    targets = args.to or [args.address]
    async with task.visiting({args.address, *targets}) as visit:
        values = await visit.values(targets if saved else [args.address, *targets])
        if saved is None:
            source = values[args.address]
            saved = Backup(settings_of(source, task.writable), backup.identity(source))
        if alien := saved.settings.keys() - task.writable:
            raise CommandError(f"{', '.join(sorted(alien))} cannot be changed on bus {task.bus.name}")
        plans = {target: _plan(target, values[target], saved, args.include, task.chemistry) for target in targets}
        for target, plan in plans.items():
            _announce(target, values[target], plan)
        refused = sorted({key for plan in plans.values() for key in forbidden(plan, task.level)})
        told = f"writes.level {task.level} does not allow {', '.join(refused)}" if refused else ""
        if args.dry_run:
            print(told or "nothing was written (--dry-run)", file=sys.stderr if told else sys.stdout)
            return 0
        if told:
            raise CommandError(told)
        origin = f"settings apply {args.file}" if args.file else f"settings apply from BMS {args.address}"
        return await _write(visit, plans, origin)


def _plan(
    target: int, values: Mapping[str, Value], saved: Backup, include: Iterable[str], chemistry: str | None
) -> list[Step]:
    """The ordered changes of one BMS; ``CommandError`` when there is no order, or the cells are of another kind."""
    if why := other_cells(saved.identity.get("battery_type"), values):
        raise CommandError(f"BMS {target} {why}")
    steps = differences(values, saved.settings)
    named = left_out(steps, include)
    for key in named:
        print(f"BMS {target}: {key} differs and is left as it is; name it with --include", file=sys.stderr)
    try:
        return ordered(values, [step for step in steps if step.key not in named], chemistry)
    except CommandError as error:
        raise CommandError(f"BMS {target}: {error}") from error


def _announce(target: int, values: Mapping[str, Value], plan: list[Step]) -> None:
    who = Backup({}, backup.identity(values)).who
    print(f"BMS {target} ({who}): {len(plan)} to change" if plan else f"BMS {target} ({who}): nothing to do")
    for number, step in enumerate(plan, 1):
        print(f"  {number}. {step}")


async def _write(visit: Visit, plans: Plans, origin: str) -> int:
    """Write step by step; after the first that fails nothing more, and what was reached is told."""
    outcomes: dict[tuple[int, str], Outcome] = {}
    for target, plan in plans.items():
        for step in plan:
            outcome = outcomes[target, step.key] = await visit.change(target, step.key, step.wanted, origin)
            reason = f": {outcome.reason}" if outcome.reason else ""
            print(f"BMS {target}: {step}: {outcome.result.replace('_', ' ')}{reason}", flush=True)
            if outcome.result not in DONE:
                print("stopped; as it is now:")
                print("\n".join(state(plans, outcomes)))
                return 1
    print(f"{len(outcomes)} changed" if outcomes else "nothing to do")
    return 0


def state(plans: Plans, outcomes: Mapping[tuple[int, str], Outcome]) -> Iterable[str]:
    """Where a plan that was stopped has left every setting."""
    for target, plan in plans.items():
        for step in plan:
            outcome = outcomes.get((target, step.key))
            wanted = shown(step.key, step.wanted)
            before = step.before if outcome is None else outcome.after
            now = "unknown" if before is None else shown(step.key, before)
            told = "not tried" if outcome is None else outcome.result.replace("_", " ")
            yield f"  BMS {target}: {step.key}: {now} (wanted {wanted}, {told})"
