"""Strategies of acquiring data, as plug-ins.

A plug-in is an entry point of the group ``jkbms_addon.acquisition`` that names a ``Plugin``: a schema of
its own options and a function that opens a ``Source``. Built-in strategies are found the same way. A plug-in can hurt
only its own bus: whatever goes wrong in its code becomes the problem of that bus.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import voluptuous as vol

from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.errors import OptionsError
from jkbms_addon.link.place import exists
from jkbms_addon.link.tap import Tapped
from jkbms_addon.supervise import guarded
from jkbms_addon.validators import ADDRESSES, explained

if TYPE_CHECKING:
    from jkbms_addon.commands.verify import Page  # not loaded where nobody asks

GROUP = "jkbms_addon.acquisition"
API = 1  # of this contract; a plug-in names the one that it was written for
PACKAGE = "jkbms_addon."
MOST_ADDRESSES = 1000  # an address has three digits at most, in names and in files
Result = TypeVar("Result")


class Source(Protocol):
    """One open bus. A single task owns it, so its methods never overlap."""

    async def poll(self) -> Sequence[Reading]:
        """What comes next, within about a second, empty-handed if need be; ``LinkError`` when the wire is gone."""


@runtime_checkable
class Changing(Protocol):
    """A source that can also change settings of its BMSs."""

    async def change(self, deed: Deed) -> Change:
        """Carry one change out and read it back, within two seconds (four through a gateway).

        Before the first byte of a write goes out ``deed.begin`` and ``deed.permit`` must have been asked, in this
        order. ``CommandError`` when it cannot be tried, ``LinkError`` when the wire is gone.
        """


@runtime_checkable
class Interleaving(Protocol):
    """A source that lets others have their turn while one is being changed."""

    async def due(self, *, begin: bool) -> Sequence[Reading] | None:
        """Ask the next whose round has come, without waiting; None when there is none. ``LinkError`` as ``poll``.

        ``begin`` allows the next round to begin, when it is due.
        """


@runtime_checkable
class Attentive(Protocol):
    """A source that has put its readings through an intake of its own, since it needs the verdict at once."""

    @property
    def intake(self) -> Intake:
        """What its readings came through; of all other sources the owner puts them through one."""


@runtime_checkable
class Wired(Protocol):
    """A source that shows its link, so that what passes on it can be looked at."""

    @property
    def link(self) -> Tapped[Any]:
        """The open link: a stream of bytes, or a channel of CAN."""


@runtime_checkable
class Asking(Protocol):
    """A source that can ask once for something that is not on its list."""

    async def read_page(self, address: int, register: int, seconds: float) -> "Sequence[Page]":
        """Ask for a page and wait so many s; ``CommandError`` where nobody may ask, ``LinkError`` as ``poll``."""


Options = Mapping[str, Any]
Open = Callable[[Options, BusStatus], AbstractAsyncContextManager[Source]]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A strategy: what its options are, how to open it, and which link of its own it occupies.

    ``name`` is that of the entry point where it is left empty.
    """

    schema: vol.Schema
    open: Open
    target: Callable[[Options], str] = lambda options: str(options.get("port", ""))
    addresses: Callable[[Options], frozenset[int]] = lambda options: options.get("addresses", frozenset(ADDRESSES))
    writable: Callable[[Options], frozenset[str]] = lambda _options: frozenset()
    name: str = ""
    api: int = API

    @property
    def rows(self) -> Mapping[Any, Any]:
        """Marker and validator of each option, whether or not a rule about several follows."""
        schema = self.schema.schema
        while isinstance(schema, (vol.All, vol.Schema)):
            schema = schema.validators[0] if isinstance(schema, vol.All) else schema.schema
        rows: Mapping[Any, Any] = schema
        return rows


@dataclass(frozen=True, slots=True)
class BusOptions:
    """One bus: its plug-in with checked options and what that says of them, or the problem that keeps it from running.

    ``target`` is the link that it occupies, empty where it occupies none.
    """

    name: str
    strategy: str
    values: Mapping[str, Any]
    plugin: Plugin | None = None
    problem: str = ""
    target: str = ""
    addresses: frozenset[int] = frozenset(ADDRESSES)
    writable: frozenset[str] = frozenset()


def known() -> list[str]:
    """Names of all strategies that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def foreign() -> list[str]:
    """Names of those among them that are not ours."""
    points = entry_points(group=GROUP)
    ours = {point.name for point in points if point.value.startswith(PACKAGE)}
    return sorted({point.name for point in points} - ours)


def look_in(folder: Path) -> None:
    """Plug-ins may also lie in a folder; behind everything else on the path, so that they can replace nothing."""
    if exists(folder) and str(folder) not in sys.path:
        sys.path.append(str(folder))


def load(name: str) -> Plugin:
    """The plug-in of that name; ``OptionsError`` lists the known ones when there is none."""
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        names = ", ".join(known()) or "none (package not installed)"
        raise OptionsError(f"strategy: {name!r:.60} is not one of {names}")
    return _loaded(name, _only(name, points))


def _only(name: str, points: Sequence[EntryPoint]) -> EntryPoint:
    """The one of that name: a built-in strategy cannot be replaced, and of two others neither is taken."""
    by_value = {point.value: point for point in points}  # one package may be found twice on the path
    ours = [point for value, point in by_value.items() if value.startswith(PACKAGE)]
    found = ours or list(by_value.values())
    if len(found) > 1:
        where = " and ".join(sorted(value.partition(":")[0] for value in by_value))
        raise OptionsError(f"strategy: {name!r:.60} is offered by two plug-ins, {where}: remove one of them")
    return found[0]


def _loaded(name: str, point: EntryPoint) -> Plugin:
    plugin = attempted(point.load, f"strategy: {name!r:.60} cannot be loaded")
    if not isinstance(plugin, Plugin):
        raise OptionsError(f"strategy: {name!r:.60} is not a plug-in of this program")
    if plugin.api != API:
        raise OptionsError(
            f"strategy: {name!r:.60} is made for interface {plugin.api!r:.20} of plug-ins, and this program has {API}"
        )
    return plugin if plugin.name else replace(plugin, name=name)


def configured(name: str, strategy: str, values: Mapping[str, Any]) -> BusOptions:
    """A bus with checked options; ``OptionsError`` says in one line what is wrong with them or with the plug-in."""
    plugin = load(strategy)
    checked = attempted(lambda: plugin.schema(values), "its options cannot be checked")
    if not isinstance(checked, Mapping):
        raise OptionsError(f"strategy: {strategy!r:.60}: its schema gives no options")
    return attempted(lambda: _described(name, strategy, plugin, checked), f"strategy: {strategy!r:.60}")


def _described(name: str, strategy: str, plugin: Plugin, values: Mapping[str, Any]) -> BusOptions:
    addresses = frozenset(int(address) for address in plugin.addresses(values))
    if not addresses <= frozenset(range(MOST_ADDRESSES)):
        raise OptionsError(f"strategy: {strategy!r:.60} has addresses that are not within 0 to {MOST_ADDRESSES - 1}")
    return BusOptions(
        name,
        strategy,
        values,
        plugin,
        target=str(plugin.target(values)),
        addresses=addresses,
        writable=frozenset(str(key) for key in plugin.writable(values)),
    )


def attempted(action: Callable[[], Result], what: str) -> Result:
    """The result of code that may not be ours; whatever it raises becomes an ``OptionsError`` in one line."""
    failure: BaseException | None = None

    def told(error: BaseException) -> None:
        nonlocal failure
        failure = error

    with guarded(told):
        return action()
    if isinstance(failure, OptionsError):
        raise failure
    if isinstance(failure, vol.Invalid):
        raise OptionsError(explained(failure)) from failure
    text = " ".join(f"{type(failure).__name__}: {failure}".split())
    raise OptionsError(f"{what}: {text:.200}") from failure
