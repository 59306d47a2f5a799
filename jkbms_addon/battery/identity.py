"""Which wires lead to the same battery: by the owner's word, by serial number, or by the unit's own running time. Pure.

Theory of operation. A *wire* is a bus and an address. Whenever one tells live data it is compared with what the wires
of other buses said last. A pair is *looked at* while something speaks for one battery: the owner, equal serial numbers,
or running times that are equal to the second. It is *joined*
- by hand at once, from the option ``batteries``;
- by serial number when running time and counters agreed twice with it;
- by running time, where a serial number is missing (a bus with a JK master and CAN tell none), when it agreed within
  ``CLOSE`` at five readings over a minute, with cycle capacity, cell count and cell voltages, and when no third unit
  is within ``NEAR`` of it.
Nothing is joined on a guess: zeros and serial numbers that makers leave standing prove nothing, a serial number that
two units tell proves nothing any more, and what cannot be told apart is said (``notes``). A wire whose running time
stands still (a gateway that repeats itself) speaks neither for nor against anything. What contradicts a joined pair
three times in a row dissolves the battery into its wires; from the first time on it is in *doubt*, and nobody may
write. What is joined is remembered over restarts, and proved anew before the first write.

Of a battery's wires the one that was known first gives it its name.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

from jkbms_addon.battery.sight import Sight, alike, contradiction, near, running_alike
from jkbms_addon.battery.snapshot import Key, label

_LOGGER = logging.getLogger(__name__)
NEAR: Final = 60.0  # s within which no third unit may run
READINGS, SPACED = 5, 14.0  # agreeing readings by running time, and s between two of them: about a minute
TWICE, APART = 2, 5.0  # the same where serial numbers agree, too
RECENT: Final = 10.0  # s after which what a wire said is not compared any more
STRIKES: Final = 3  # contradictions in a row that dissolve a battery
UNLIKE: Final = 30  # readings in a row whose cells differ that do the same
UNDECIDED: Final = 180.0  # s after which it is told that a pair cannot be judged
HAND, SERIAL, CLOCK = "the option batteries", "equal serial numbers", "equal running times"


@dataclass(slots=True)
class _Pair:
    """What is known of two wires; s of the store's clock."""

    since: float
    at: float = 0.0
    judged: float = float("-inf")  # the newer of the two readings that counted last
    agreed: int = 0
    agreed_at: float = float("-inf")
    strikes: int = 0
    unlike: int = 0
    proved: bool = False  # whether they agreed in this run
    third: str = ""  # who else might be meant

    @property
    def open(self) -> bool:
        """Whether they may be one battery after all that is known."""
        return not self.strikes and self.unlike < UNLIKE

    def again(self) -> None:
        """What agreed so far counts no more."""
        self.agreed, self.agreed_at, self.proved, self.third = 0, float("-inf"), False, ""


Link = frozenset[Key]  # two wires


@dataclass(slots=True)
class Identity:
    """Judges which wires are one battery.

    ``hand`` are pairs of the owner, ``never`` pairs that he says are two; ``order`` the wires in the order in which
    they were first known, ``links`` what an earlier run joined, with its reason, and ``serials`` what it had heard. New
    wires stand in the order of their ``buses``, as it is chance which of them is heard first.
    """

    hand: Sequence[tuple[Key, Key]] = ()
    never: frozenset[Link] = frozenset()
    order: list[Key] = field(default_factory=list)
    links: dict[Link, str] = field(default_factory=dict)
    serials: dict[Key, str] = field(default_factory=dict)
    buses: Sequence[str] = ()
    _asked: frozenset[Link] = frozenset()  # the pairs of the owner
    _old: int = 0  # how many of ``order`` an earlier run knew
    _remembered: dict[Key, str] = field(default_factory=dict)  # serial numbers of the earlier run
    _sights: dict[Key, Sight] = field(default_factory=dict)
    _pairs: dict[Link, _Pair] = field(default_factory=dict)
    _moved_at: dict[str, float] = field(default_factory=dict)  # when a serial number turned up elsewhere
    _cloned: dict[str, str] = field(default_factory=dict)  # serial numbers of several units, and where
    _battery: dict[Key, Key] = field(default_factory=dict)
    _wires: dict[Key, tuple[Key, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asked = frozenset(map(frozenset, self.hand))
        self._remembered, self._old = dict(self.serials), len(self.order)
        for wire in self._by_hand:
            self._known(wire)
        earlier = {link: why for link, why in self.links.items() if link not in self.never and why != HAND}
        self.links = earlier | dict.fromkeys(self._asked, HAND)
        self._rebuild()

    @property
    def _by_hand(self) -> list[Key]:
        # the names that the owner put first stand before those that they stand for
        return list(dict.fromkeys((*(first for first, _ in self.hand), *(other for _, other in self.hand))))

    # --- for everybody ------------------------------------------------------------------------------------
    def battery(self, wire: Key) -> Key:
        """The name of the battery to which a wire leads: the wire of it that was known first."""
        return self._battery.get(wire, wire)

    def wires(self, battery: Key) -> tuple[Key, ...]:
        """The wires of a battery."""
        return self._wires.get(battery, (battery,))

    def reason(self, battery: Key) -> str:
        """By what its wires are known to be one battery; empty where it has one."""
        return ", ".join(dict.fromkeys(self.links[link] for link in self._inside(battery)))

    def doubt(self, wire: Key) -> str:
        """Why a battery should not be written over this wire now, in words; empty when its identity is proved."""
        battery = self.battery(wire)
        if len(self.wires(battery)) == 1 and wire == battery:
            return ""
        links, seen = self._inside(battery), self._sights.get(wire)
        if any(link in self._pairs and self._pairs[link].strikes for link in links):
            return "its wires contradict each other"
        if seen and seen.stands:
            return "its running time stands still on this wire"
        known = {self._remembered.get(one, "") for one in self.wires(battery)} - {""}
        proved = any(wire in link and link in self._pairs and self._pairs[link].proved for link in links)
        by_hand = any(wire in link and self.links[link] == HAND for link in links)
        by_serial = seen is not None and seen.serial in known and seen.serial not in self._cloned
        alone = all(one == wire or one not in self._sights for one in self.wires(battery))
        if proved or (alone and (by_hand or by_serial)):
            return ""
        return "its wires have not been compared yet"

    def suspect(self, wire: Key, now: float) -> str:
        """The battery that may be the same one as this, while that is not decided; empty when nothing speaks for it."""
        for link, pair in self._pairs.items():
            if wire not in link or not pair.open or self.battery(min(link)) == self.battery(max(link)):
                continue
            (other,) = link - {wire}
            if self._place(other) < self._place(wire) and now - self._sights[other].at <= RECENT:
                return label(self.battery(other))
        return ""

    def notes(self) -> list[str]:
        """What should be known of units that cannot be told apart, in words."""
        found = [
            f"the serial number {serial} is told by several batteries ({where}); it proves nothing"
            for serial, where in self._cloned.items()
        ]
        for link, pair in self._pairs.items():
            late = pair.at - pair.since >= UNDECIDED
            if link in self.links or not pair.open or not (pair.third or late):
                continue
            one, other = sorted(map(label, link))
            but = f"{pair.third} runs for as long" if pair.third else "that could not be proved"
            found.append(
                f"{one} and {other} may be one battery, but {but}: "
                f"say it in the option batteries: {one} = {other}, or {one} != {other}"
            )
        return found

    # --- what is heard ---------------------------------------------------------------------------------------
    def heard(self, seen: Sight) -> None:
        """Compare what a wire says now with what the others said last."""
        wire, before = seen.wire, self._sights.get(seen.wire)
        self._known(wire)
        if before and before.serial and seen.serial and before.serial != seen.serial:
            self._moved_at[seen.serial] = seen.serial_at  # whoever told it earlier must say it again
        if seen.serial_at < self._moved_at.get(seen.serial, seen.serial_at):
            seen = replace(seen, serial="")
        self._sights[wire] = seen
        if seen.serial:
            self.serials[wire] = seen.serial
            if before and before.serial == seen.serial:
                self._clones(seen, before.at)
        for other in list(self._sights.values()):
            compared = not (seen.stands or other.stands) and seen.at - other.at <= RECENT
            if other.wire[0] != wire[0] and compared:
                self._look(frozenset((wire, other.wire)), seen, other)

    def _known(self, wire: Key) -> None:
        if wire not in self.order:
            later = (n for n, one in enumerate(self.order) if n >= self._old and self._rank(one) > self._rank(wire))
            self.order.insert(next(later, len(self.order)), wire)

    def _rank(self, wire: Key) -> int:
        if wire in self._by_hand:
            return -1
        return self.buses.index(wire[0]) if wire[0] in self.buses else len(self.buses)

    def _place(self, wire: Key) -> int:
        return self.order.index(wire) if wire in self.order else len(self.order)

    def _clones(self, seen: Sight, since: float) -> None:
        """A serial number at two addresses of one bus, in turns, belongs to two units: boards are copied, too."""
        for other in self._sights.values():
            same_bus = other.wire[0] == seen.wire[0] and other.wire != seen.wire
            if same_bus and other.serial == seen.serial and other.at > since:
                self._clone(seen.serial, seen.wire, other.wire)

    def _clone(self, serial: str, one: Key, other: Key) -> None:
        if serial in self._cloned:
            return
        self._cloned[serial] = " and ".join(sorted((label(one), label(other))))
        for link in [link for link, why in self.links.items() if why == SERIAL and self._tells(link, serial)]:
            if link in self.links:  # another one may have dissolved the whole battery
                self._dissolve(link, f"the serial number {serial} is told by several batteries")

    def _tells(self, link: Link, serial: str) -> bool:
        return any(self.serials.get(wire) == serial for wire in link)

    def _look(self, link: Link, seen: Sight, other: Sight) -> None:
        """Compare two wires as long as something speaks for one battery."""
        joined = self.battery(seen.wire) == self.battery(other.wire)
        by_serial = bool(seen.serial) and seen.serial == other.serial and seen.serial not in self._cloned
        asked = link in self._asked
        if link in self.never or not (joined or by_serial or asked or running_alike(seen, other)):
            self._pairs.pop(link, None)
            return
        pair = self._pairs.setdefault(link, _Pair(seen.at))
        pair.at = seen.at
        if min(seen.at, other.at) <= pair.judged:
            return  # one reading counts once, however often the other wire speaks
        why, cells = contradiction(seen, other), alike(seen, other)
        if not why and cells is None and not (by_serial or asked or joined):
            return
        pair.judged = max(seen.at, other.at)
        pair.unlike = pair.unlike + 1 if cells is False else 0
        if not why and pair.unlike >= UNLIKE:
            why = "different cell voltages"
        if why:
            self._against(link, pair, why, seen.serial if by_serial else "")
        elif cells is not False:
            pair.strikes = 0
            if by_serial or asked or cells:
                self._for(link, pair, HAND if asked else SERIAL if by_serial else CLOCK)

    def _against(self, link: Link, pair: _Pair, why: str, serial: str) -> None:
        pair.strikes += 1
        pair.again()
        if pair.strikes < STRIKES:
            return
        one, other = link
        if serial:
            self._clone(serial, one, other)
        if self.battery(one) == self.battery(other):
            self._dissolve(link, why)

    def _for(self, link: Link, pair: _Pair, by: str) -> None:
        """One more reading that agrees; enough of them join."""
        needed, spaced = (READINGS, SPACED) if by == CLOCK else (TWICE, APART)
        if pair.at - pair.agreed_at < spaced:
            return
        pair.agreed, pair.agreed_at = pair.agreed + 1, pair.at
        one, other = link
        if self.battery(one) == self.battery(other):
            pair.proved = True
        elif pair.agreed >= needed:
            pair.third = self._third(link) if by == CLOCK else ""
            if not pair.third:
                self._join(link, by)
                pair.proved = link in self.links

    def _third(self, link: Link) -> str:
        """Another unit that runs for as long as these two; empty when there is none."""
        inside = {one for wire in link for one in self.wires(self.battery(wire))}
        pair = [self._sights[wire] for wire in link]
        for wire, seen in self._sights.items():
            close = any(near(seen, one, NEAR) for one in pair)
            moved = any(wire[0] == one.wire[0] and self._moved(seen, one) for one in pair)
            if wire not in inside and close and not moved:
                return label(wire)
        return ""

    @staticmethod
    def _moved(before: Sight, now: Sight) -> bool:
        """Whether a wire that fell silent led to the unit that another one leads to now."""
        return now.at - before.at > RECENT and running_alike(before, now)

    # --- batteries --------------------------------------------------------------------------------------------
    def _join(self, link: Link, why: str) -> None:
        one, other = sorted(link, key=self._place)
        wires = {*self.wires(self.battery(one)), *self.wires(self.battery(other))}
        for first, second in combinations(sorted(wires, key=self._place), 2):
            if first[0] == second[0] and not self._left(link, first, second):
                return  # two wires of one bus are two units, whatever they say
        self.links[link] = why
        self._rebuild()
        _LOGGER.info(
            "%s and %s are one battery (%s), shown as %s", label(one), label(other), why, label(self.battery(one))
        )

    def _left(self, link: Link, first: Key, second: Key) -> bool:
        """Whether one of two wires of one bus is silent, as its battery has another address now; it goes then."""
        now = max(self._sights[wire].at for wire in link)
        for wire in (first, second):
            seen = self._sights.get(wire)
            if wire not in link and (seen is None or now - seen.at > RECENT):
                self._drop([one for one in self.links if wire in one])
                return True
        return False

    def _dissolve(self, link: Link, why: str) -> None:
        links = self._inside(self.battery(min(link)))
        for pair in [self._pairs[one] for one in links if one in self._pairs]:
            pair.again()
        self._drop(links)
        one, other = sorted(map(label, link))
        _LOGGER.warning("%s and %s are not one battery: %s; each is shown by itself", one, other, why)

    def _inside(self, battery: Key) -> list[Link]:
        return [link for link in self.links if self.battery(min(link)) == battery]

    def _drop(self, links: Iterable[Link]) -> None:
        for link in links:
            del self.links[link]
        self._rebuild()

    def _rebuild(self) -> None:
        groups: dict[Key, frozenset[Key]] = {}
        for link in self.links:
            group = frozenset().union(link, *(groups.get(wire, ()) for wire in link))
            groups.update(dict.fromkeys(group, group))
        self._battery, self._wires = {}, {}
        for group in set(groups.values()):
            wires = tuple(sorted(group, key=self._place))
            self._wires[wires[0]] = wires
            self._battery.update(dict.fromkeys(wires, wires[0]))

    def keep(self, served: Iterable[str]) -> None:
        """Forget wires of buses that are no more, as long as no battery goes by them."""
        buses = set(served)
        self._drop([link for link in self.links if not any(bus in buses for bus, _ in link)])
        self.order = [wire for wire in self.order if wire[0] in buses or wire in self._battery]


def conflicting(same: Sequence[tuple[Key, Key]], never: frozenset[Link] = frozenset()) -> str:
    """What cannot be true of the owner's pairs; empty when all can: one battery has one address on a bus."""
    judged = Identity(same)
    for battery in {judged.battery(wire) for pair in same for wire in pair}:
        for one, other in combinations(judged.wires(battery), 2):
            if one[0] == other[0]:
                return f"{label(one)} and {label(other)} are on one bus and cannot be one battery"
            if frozenset((one, other)) in never:
                return f"{label(one)} and {label(other)} cannot be one battery and two"
    return ""
