"""Strategies of acquiring data, as plug-ins.

A plug-in is an entry point of the group ``jkbms_addon.acquisition`` that names a ``Plugin``: a schema of
its own options and a function that opens a ``Source``. Built-in strategies are found the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

import voluptuous as vol

from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.errors import OptionsError

GROUP = "jkbms_addon.acquisition"


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


Options = Mapping[str, Any]
Open = Callable[[Options, BusStatus], AbstractAsyncContextManager[Source]]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A strategy: what its options are, how to open it, and which link of its own it occupies."""

    schema: vol.Schema
    open: Open
    target: Callable[[Options], str] = lambda options: str(options.get("port", ""))
    addresses: Callable[[Options], frozenset[int]] = lambda options: options.get("addresses", frozenset(range(16)))
    writable: Callable[[Options], frozenset[str]] = lambda _options: frozenset()

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
    """One bus: its plug-in with checked options, or the problem that keeps it from running."""

    name: str
    strategy: str
    values: Mapping[str, Any]
    plugin: Plugin | None = None
    problem: str = ""


def known() -> list[str]:
    """Names of all strategies that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load(name: str) -> Plugin:
    """The plug-in of that name; ``OptionsError`` lists the known ones when there is none."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _loaded(name, point.load)
    raise OptionsError(f"strategy: {name!r:.60} is not one of {', '.join(known()) or 'none (package not installed)'}")


def _loaded(name: str, loader: Callable[[], object]) -> Plugin:
    try:
        plugin = loader()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise OptionsError(f"strategy: {name!r:.60} cannot be loaded: {error}") from error
    if not isinstance(plugin, Plugin):
        raise OptionsError(f"strategy: {name!r:.60} is not a plug-in of this program")
    return plugin
