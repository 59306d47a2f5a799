"""Every fault on every link, against the program as its container starts it; the manual's table comes from here."""

import asyncio
import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import mosquitto, until
from tests.faults.link import ONE, Link
from tests.faults.links import link_in
from tests.faults.services import Mqtt, Supervisor
from tests.faults.table import CELLS, FAULTS, GOAL, LINKS, Cell
from tests.faults.world import KEPT, World, world
from tests.inverter.senders import LIMITS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BUSES = ("serial", "TCP", "CAN in")
MEMBERS = (1, 2)
BLIND, CAPACITY = 0.3, 560.0  # of the capacity of both batteries, A per Ah: what a house may take without data
STALE = 10.0 + 2.5  # s after the last data until the inverter must be told of it
BUSY = 3.0  # s more on a machine that is busy with other tests; `python -m tests.faults` measures at a quiet moment
STEADY = 3.5  # s between two sets of frames for the inverter, at most, on a busy machine
QUIET = 4.5  # s between two messages about a bystander, at most


def test_every_fault_on_every_link_is_in_the_table() -> None:
    assert set(CELLS) == {(link, fault) for link in LINKS for fault in FAULTS}


class Case:
    """One fault on one link at work."""

    def __init__(self, one: World, link: Link, name: str, fault: str) -> None:
        self.world, self.link, self.name, self.fault = one, link, name, fault
        self.cell: Cell = CELLS[name, fault]
        self.begun = self.ended = 0.0

    # --- breaking and mending --------------------------------------------------------------------------
    async def fault_happens(self) -> None:
        """From the first moment to the last; afterwards nothing is broken any more."""
        link = self.link
        pairs: dict[str, tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]] = {
            "absent": (nothing, link.back),
            "lost": (link.gone, link.back),
            "frozen": (link.frozen, link.thawed),
            "flapping": (link.flap, nothing),
            "garbage": (link.garbage, link.clean),
            "half-open": (link.half_open, link.whole),
            "full disk": (self.disk_full, self.disk_free),
            "clock jump": (self.clock_jumps, self.clock_back),
            "paused": (self.paused, self.resumed),
            "name server dead": (link.nameless, link.named),
            "one address ill": (link.ill, link.cured),
            "frozen values": (link.still, link.moving),
        }
        breaks, mends = pairs[self.fault]
        self.begun = time.monotonic()
        await breaks()
        if self.fault != "flapping":
            await asyncio.sleep(self.cell.seconds)
            await self.seen()
        self.ended = time.monotonic()
        await mends()

    async def disk_full(self) -> None:
        for name in KEPT:
            (self.world.folder / f"{name}.new").symlink_to("/dev/full")
        await self.something_to_keep()

    async def disk_free(self) -> None:
        for name in KEPT:
            (self.world.folder / f"{name}.new").unlink(missing_ok=True)

    async def something_to_keep(self) -> None:
        """An incident that is worth remembering, and a restart that announces all anew."""
        far = self.world.bystander
        far.frozen = True
        await until(lambda: "no answer to any question" in self.world.logged(), 15)
        far.frozen = False

    async def clock_jumps(self) -> None:
        for shift in ("86400", "-172800"):
            self.world.clock.write_text(shift)
            await asyncio.sleep(1)
            await self.world.say("jkbms/inverter/enable/set", "nonsense")  # is answered in the log, with the time
            await asyncio.sleep(2)

    async def clock_back(self) -> None:
        self.world.clock.write_text("0")

    async def paused(self) -> None:
        self.world.signal(signal.SIGSTOP)

    async def resumed(self) -> None:
        self.world.signal(signal.SIGCONT)

    # --- what is seen ------------------------------------------------------------------------------------
    async def seen(self) -> None:
        one, cell = self.world, self.cell
        if cell.says:
            await until(lambda: cell.says in one.logged(), 8)
            if (self.name in BUSES and self.fault != "full disk") or cell.published == "others":
                await until(lambda: cell.says in one.reason(), 4)
        if cell.published == "gone":
            await until(lambda: not any(one.available(n) for n in MEMBERS), 4)
        if cell.published == "others":
            await until(lambda: not one.available(ONE), 4)
            assert one.available(1)
        if "does not count" in cell.more:
            await until(lambda: "JK BMS a 2 does not count" in one.logged(), 4)
        if cell.published == "named" or "was found" in cell.more:
            assert one.fresh(MEMBERS, time.monotonic() - 3)
        if "Emitting" in cell.more:
            await until(lambda: self.inverter()["emitting"] == "OFF", 4)
        if "heartbeat" in cell.more:
            assert self.inverter()["heartbeat_age"] > cell.seconds / 2 - 1  # told at 5, 10, 20 s

    def inverter(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.world.told("jkbms/inverter/state") or "{}")
        return found

    async def well(self) -> float:
        """Seconds from the end of the fault until everything is current again."""
        one, after = self.world, self.ended
        if self.name == "CAN out":
            await until(lambda: one.limits(after), 20)
            return next(at for at, frame in one.sent if at > after and frame.can_id == LIMITS) - after
        await until(lambda: one.fresh(MEMBERS, after), 20)
        first = (
            next(at for at, t, _, old in one.heard.messages if t == f"jkbms/a/{n}/state" and at > after and not old)
            for n in MEMBERS
        )
        return max(first) - after

    # --- what must hold ------------------------------------------------------------------------------------
    def nothing_false(self) -> None:
        judge = self.world.judge
        assert judge.judged["state"] > 3
        assert judge.examples == []
        assert judge.phantoms == set()

    def nothing_permitted_on_old_data(self) -> None:
        one, end = self.world, self.ended
        if self.name in BUSES and self.fault == "absent":
            assert not any(charge or discharge for charge, discharge in one.limits(0, end))
        elif self.name in BUSES and self.cell.published == "gone":
            assert one.permitted(0)
            known, blind = one.limits(self.begun - 3, self.begun), one.limits(self.begun + STALE, end)
            most = min(BLIND * CAPACITY, known[-1][1])
            assert blind
            assert all(charge == 0 and discharge <= most for charge, discharge in blind)
        elif self.fault == "paused":
            assert one.limits(self.begun + 2, end) == []
            fresh = min(
                at
                for at, t, _, _ in one.heard.messages
                if t.startswith("jkbms/a/") and t.endswith("/state") and at > end
            )
            assert not any(charge for charge, _ in one.limits(end, fresh))
        elif self.name != "CAN out":
            assert max(one.cycles(self.begun)) < STEADY

    def published_as_told(self) -> None:
        """Nothing while there is no broker; no battery is called unavailable that was not to be."""
        told = [(t, p) for at, t, p, old in self.world.heard.messages if self.begun + 1 < at < self.ended and not old]
        mine = [f"jkbms/a/{n}" for n in MEMBERS]
        if self.cell.published == "mute":
            assert not [topic for topic, _ in told if topic in {f"{one}/state" for one in mine}]
        if self.cell.published == "others":
            mine = [f"jkbms/a/{n}" for n in MEMBERS if n != ONE]
        if self.cell.published in ("stay", "others"):
            assert ("jkbms/bridge/state", "offline") not in told
            assert not {(f"{one}/availability", "offline") for one in mine} & set(told)
            assert {f"{one}/state" for one in mine} <= {topic for topic, _ in told}

    def bystanders_unaffected(self) -> None:
        if isinstance(self.link, (Mqtt, Supervisor)) or self.fault in ("paused", "full disk"):
            return
        times = [at for at, t, _, old in self.world.heard.messages if t == "jkbms/b/1/state" and not old]
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) < QUIET

    def told_once(self) -> None:
        """A failure is one warning, however long it lasts."""
        log = self.world.logged()
        assert "Traceback" not in log
        if self.cell.says and self.fault != "flapping":
            warnings = [line for line in log.splitlines() if " WARNING " in line and self.cell.says in line]
            names = {
                line.split(" WARNING ")[1].split(" ")[1 if "cannot be written" in line else 0] for line in warnings
            }
            assert 1 <= len(warnings) <= max(2, len(names)), warnings
        if self.fault == "clock jump":
            assert len({line[:10] for line in log.splitlines()}) >= 3, "the clock did not jump"


async def nothing() -> None:
    pass


@pytest.mark.parametrize(("name", "fault"), [*CELLS], ids=lambda word: word.replace(" ", "-"))
async def test_a_fault(name: str, fault: str, tmp_path: Path) -> None:
    healed = await lasting(name, fault, tmp_path)
    if healed > GOAL:  # on a machine that is busy with other tests once is no proof
        healed = await lasting(name, fault, tmp_path / "again")
    assert healed <= GOAL + BUSY
    record(name, fault, healed)


async def lasting(name: str, fault: str, folder: Path) -> float:
    """Let it happen to a program of its own; all that must hold but how long it takes to heal, which is returned."""
    folder.mkdir(exist_ok=True)
    async with (
        mosquitto(folder) as broker,
        world(folder, broker) as one,
        link_in(name, one, fault) as link,
    ):
        if fault == "clock jump":
            one.clock.write_text("0")
            one.program = ["tests.faults.clock", str(one.clock)]
        case = Case(one, link, name, fault)
        await one.start()
        if fault != "absent":
            await until(lambda: one.fresh(MEMBERS, 0) and one.permitted(0), 30)
            await asyncio.sleep(1.5)
        else:
            await until(lambda: case.cell.says in one.logged(), 30)
        await case.fault_happens()
        healed = await case.well()
        await asyncio.sleep(2.5)
        case.nothing_false()
        case.nothing_permitted_on_old_data()
        case.published_as_told()
        case.bystanders_unaffected()
        case.told_once()
        assert await one.stop() == 0
        await until(lambda: one.heard.last("jkbms/bridge/state") == "offline", 5)
    return healed


def record(name: str, fault: str, healed: float) -> None:
    """For the manual, where the environment asks for it."""
    where = os.environ.get("FAULTS_MEASURED")
    if where:
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(json.dumps([f"{name}/{fault}", round(healed, 2)]) + "\n")
