"""What is known of wires and batteries over restarts, in a small file; losing it loses nothing but names."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from jkbms_addon.battery.identity import CLOCK, SERIAL, Identity, Link, conflicting
from jkbms_addon.battery.snapshot import Key, key_of, label
from jkbms_addon.kept import Contents, JsonFile, Saver

NAME: Final = "identity.json"
MOST: Final = 1000  # wires
_Wire = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}/[0-9]{1,3}$")]


class _Joined(Contents):
    wires: Annotated[list[_Wire], Field(min_length=2, max_length=2)]
    by: Literal["serial number", "running time"]


class _Content(Contents):
    version: Literal[1]
    order: Annotated[list[_Wire], Field(max_length=MOST)] = Field(default_factory=list)
    joined: Annotated[list[_Joined], Field(max_length=MOST)] = Field(default_factory=list)
    serials: dict[_Wire, Annotated[str, Field(max_length=64)]] = Field(default_factory=dict)


WORDS: Final[dict[str, Literal["serial number", "running time"]]] = {SERIAL: "serial number", CLOCK: "running time"}


class KeptIdentity:
    """Loads what an earlier run knew, and writes what is new. ``run`` writes it."""

    def __init__(self, folder: Path) -> None:
        self._file = JsonFile(folder / NAME)
        self._saver = Saver(self._file)
        self.run = self._saver.run
        self._saved: dict[str, Any] = {}

    def load(
        self, same: Sequence[tuple[Key, Key]], never: frozenset[Link], earlier: Iterable[Key], buses: Iterable[str]
    ) -> Identity:
        """With the owner's word; ``earlier`` are batteries that had a device before there was such a file."""
        found = self._file.load_as(_Content) or _Content(version=1)
        reasons = {word: reason for reason, word in WORDS.items()}
        links = {frozenset(map(key_of, one.wires)): reasons[one.by] for one in found.joined}
        together = [*same, *((min(link), max(link)) for link in links if link not in never)]
        identity = Identity(
            same,
            never,
            order=list(dict.fromkeys([*map(key_of, found.order), *earlier])),
            links={} if conflicting(together, never) else links,
            buses=tuple(buses),
            serials={key_of(wire): serial for wire, serial in found.serials.items()},
        )
        identity.keep(identity.buses)
        self._saved = _content(identity)
        return identity

    def keep(self, identity: Identity) -> None:
        """Have it written if something is new."""
        content = _content(identity)
        if content != self._saved:
            self._saved = content
            self._saver.save(content)


def _content(identity: Identity) -> dict[str, Any]:
    joined = [
        {"wires": sorted(map(label, link)), "by": WORDS[reason]}
        for link, reason in identity.links.items()
        if reason in WORDS
    ]
    return {
        "version": 1,
        "order": [label(wire) for wire in identity.order],
        "joined": sorted(joined, key=lambda one: one["wires"]),
        "serials": {label(wire): serial for wire, serial in sorted(identity.serials.items())},
    }
