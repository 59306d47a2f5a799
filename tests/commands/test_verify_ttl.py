"""Writes to a first-generation BMS over a real pty and over TCP: the outcome shown is what the BMS says."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition.ttl import PLUGIN
from jkbms_addon.app import App
from jkbms_addon.battery.quantities import specs
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.command import Command
from jkbms_addon.commands.deed import Deed
from jkbms_addon.commands.verify_ttl import change
from jkbms_addon.errors import CommandError
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.ttl import SimulatedFirst, TtlGateway, TtlPort, ttl_gateway, ttl_port
from jkbms_addon.wire.ttl import frames as legacy
from jkbms_addon.wire.ttl.tags import CHANGEABLE, NEVER, PASSWORD, WRITABLE_BY_KEY
from tests.acquisition.test_following import online
from tests.commands.test_verify import KINDS, Owner
from tests.conftest import until

READ, PAIR, WRITE = legacy.READ, legacy.PAIR, legacy.WRITE


@asynccontextmanager
async def owner(
    kind: str, folder: Path, bms: SimulatedFirst | None = None, level: str = "protections", **far_end: Any
) -> AsyncIterator[tuple[Owner, TtlPort | TtlGateway]]:
    bms = bms or SimulatedFirst()
    opened: Any = ttl_port(bms, **far_end) if kind == "serial" else ttl_gateway(bms, **far_end)
    async with opened as far:
        link = {"port": far.port} if kind == "serial" else {"host": "127.0.0.1", "tcp_port": far.port}
        writes = {"level": level, "unlocked_at_start": True}
        bus = {"name": "a", "strategy": "ttl", "interval": 0.5, **link}
        app = App(parse({"buses": [bus], "writes": writes, "mqtt": {"host": "127.0.0.1", "port": 9}}), folder)
        task = asyncio.create_task(app.run())
        try:
            await until(lambda: any("settings" in s.parts for s in app.store) and online(app), 15)
            yield Owner(app, folder), far
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def written(far: TtlPort | TtlGateway) -> list[tuple[int, bytes]]:
    """Ids and values of all writes that arrived."""
    return [(info[0], info[1:]) for info in far.bms.writes]


@KINDS
async def test_the_switches(kind: str, tmp_path: Path) -> None:
    async with owner(kind, tmp_path, SimulatedFirst(picky=True)) as (me, far):
        for key in ("charging_switch", "discharging_switch", "balancing_switch"):
            for payload, wanted in (("OFF", False), ("ON", True)):
                far.bms.paired = False
                outcome = await me.sets(key, payload)
                assert (outcome.result, outcome.reason) == ("applied", "")
                assert (outcome.before, outcome.after) == (not wanted, wanted)
                assert me.shown(key) is far.bms.settings[key] is wanted
        ids = [0xAB, 0xAB, 0xAC, 0xAC, 0x9D, 0x9D]
        assert written(far) == [(tag, bytes((n % 2,))) for n, tag in enumerate(ids)]


async def test_the_actual_state_follows(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, _far):
        assert me.shown("discharging") is True
        await me.sets("discharging_switch", "OFF")
        await until(lambda: me.shown("discharging") is False, 3)


@KINDS
async def test_the_order_and_the_pauses(kind: str, tmp_path: Path) -> None:
    async with owner(kind, tmp_path) as (me, far):
        before = len(far.asked)
        began = time.monotonic()
        assert (await me.sets("charging_switch", "OFF")).result == "applied"
        assert time.monotonic() - began < 3
        asked = far.asked[before:]
        commands = [command for _, command in asked]
        at = commands.index(PAIR)
        # what is read back is what was expected, so it need not be said twice
        assert commands[at - 1 : at + 3] == [READ, PAIR, WRITE, READ]
        assert asked[at + 1][0] - asked[at][0] > 0.14
        assert min(b - a for (a, _), (b, _) in pairwise(asked)) > 0.09


@KINDS
@pytest.mark.parametrize(
    ("reaction", "result", "reason", "times"),
    [
        ({"taken": False}, "not_taken", "acknowledged but did not take", 2),
        ({"acknowledging": False}, "applied", "without acknowledgement", 1),
        ({"hearing": False}, "failed", "did not acknowledge", 2),
    ],
    ids=["not-taken", "answer-lost", "no-answer"],
)
async def test_what_a_bms_may_do(
    kind: str, reaction: dict[str, Any], result: str, reason: str, times: int, tmp_path: Path
) -> None:
    async with owner(kind, tmp_path, SimulatedFirst(**reaction)) as (me, far):
        outcome = await me.sets("charging_switch", "OFF")
        assert outcome.result == result
        assert reason in outcome.reason
        assert len(far.bms.writes) == times
        assert outcome.after is me.shown("charging_switch") is far.bms.settings["charging_switch"]
        assert online(me.app) == {1}
        far.bms.taken = far.bms.acknowledging = far.bms.hearing = True
        wanted = not far.bms.settings["charging_switch"]
        assert (await me.sets("charging_switch", "ON" if wanted else "OFF")).after is wanted


async def test_a_write_that_was_lost_is_repeated(tmp_path: Path) -> None:
    bms = SimulatedFirst(hearing=False)
    async with owner("serial", tmp_path, bms) as (me, _far):
        me.app.command("jkbms/a/1/charging_switch/set", "OFF", False)
        await until(lambda: len(bms.writes) == 1)
        bms.hearing = True
        await until(lambda: len(me.outcomes) == 1)
        assert (me.outcomes[0].result, me.outcomes[0].after, len(bms.writes)) == ("applied", False, 2)


async def test_balancing_that_firmware_11_does_not_take_is_told(tmp_path: Path) -> None:
    async with owner("serial", tmp_path, SimulatedFirst(refuses=frozenset((0x9D,)))) as (me, far):
        outcome = await me.sets("balancing_switch", "OFF")
        assert (outcome.result, outcome.after, me.shown("balancing_switch")) == ("not_taken", True, True)
        assert outcome.reason.endswith("firmware 11 is known not to")
        assert (await me.sets("charging_switch", "OFF")).result == "applied"
        assert far.bms.settings["balancing_switch"] is True


async def test_a_damaged_read_back_is_no_success_and_no_failure(tmp_path: Path) -> None:
    dice = random.Random(4)

    def noisy(data: bytes) -> bytes:
        damaged = bytearray(data)
        if len(data) > 200 and dice.random() < 0.3:
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        return bytes(damaged)

    async with owner("serial", tmp_path, mangle=noisy) as (me, far):
        for payload in ("OFF", "ON", "OFF"):
            outcome = await me.sets("charging_switch", payload, seconds=20)
            assert outcome.result == "applied", outcome
            assert outcome.after is far.bms.settings["charging_switch"] is (payload == "ON")


async def test_an_echo_is_no_answer(tmp_path: Path) -> None:
    async with owner("serial", tmp_path, echo=True, chunk=1) as (me, far):
        assert (await me.sets("charging_switch", "OFF")).result == "applied"
        far.bms.hearing = False
        outcome = await me.sets("charging_switch", "ON")
        assert (outcome.result, outcome.after) == ("failed", False)
        assert "did not acknowledge" in outcome.reason


async def test_an_equal_value_is_not_written(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        far.bms.settings["charging_switch"] = False  # switched in the vendor's app just now
        outcome = await me.sets("charging_switch", "OFF")
        assert (outcome.result, outcome.after, far.bms.writes) == ("unchanged", False, [])
        assert me.shown("charging_switch") is False


async def test_a_sleeping_bms_is_woken_for_it(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        far.bms.asleep = True
        assert (await me.sets("charging_switch", "OFF")).result == "applied"
        assert far.bms.settings["charging_switch"] is False


async def test_a_bms_that_has_fallen_silent_is_not_written_to(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        far.bms.silent = True
        outcome = await me.sets("charging_switch", "OFF")
        assert (outcome.result, outcome.reason) == ("refused", "BMS 1 does not answer")
        assert far.bms.writes == []


async def test_a_bms_that_falls_silent_after_the_write_leaves_the_outcome_open(tmp_path: Path) -> None:
    bms = SimulatedFirst(acknowledging=False)
    async with owner("serial", tmp_path, bms) as (me, _far):
        me.app.command("jkbms/a/1/charging_switch/set", "OFF", False)
        await until(lambda: bms.writes != [])
        bms.silent = True
        await until(lambda: len(me.outcomes) == 1, 12)
        assert (me.outcomes[0].result, me.outcomes[0].after) == ("failed", None)
        assert me.outcomes[0].reason == "not verified: BMS 1 does not answer"
        bms.silent = False
        await until(lambda: me.shown("charging_switch") is False, 8)


@KINDS
async def test_unplugged_in_the_middle(kind: str, tmp_path: Path) -> None:
    """The far end goes away while the answer to the write is awaited."""
    port = tmp_path / "adapter"
    bms = SimulatedFirst(acknowledging=False)
    async with ttl_port(bms) if kind == "serial" else ttl_gateway(bms) as far:
        if kind == "serial":
            port.symlink_to(str(far.port))
        link = {"port": str(port)} if kind == "serial" else {"host": "127.0.0.1", "tcp_port": far.port}
        bus = {"name": "a", "strategy": "ttl", "interval": 0.5, **link}
        writes = {"level": "switches", "unlocked_at_start": True}
        app = App(parse({"buses": [bus], "writes": writes, "mqtt": {"host": "127.0.0.1", "port": 9}}), tmp_path)
        me, task = Owner(app, tmp_path), asyncio.create_task(app.run())
        await until(lambda: online(app) == {1})
        app.command("jkbms/a/1/charging_switch/set", "OFF", False)
        await until(lambda: bms.writes != [])
        if isinstance(far, TtlGateway):
            await far.stop()
    try:
        await until(lambda: len(me.outcomes) == 1)
        assert (me.outcomes[0].result, me.outcomes[0].after) == ("failed", None)
        assert me.outcomes[0].reason.startswith("not verified: ")
        await until(lambda: not app.buses["a"].connected, 3)
        if kind == "tcp":
            await far.start()  # type: ignore[union-attr]
            await until(lambda: me.shown("charging_switch") is False, 15)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if isinstance(far, TtlGateway):
            await far.stop()


# --- what is never written ----------------------------------------------------------------------------


def test_only_what_is_known_to_work_can_be_changed() -> None:
    assert {"charging_switch", "discharging_switch", "balancing_switch"} == CHANGEABLE
    assert PLUGIN.writable({}) == CHANGEABLE
    assert PASSWORD in NEVER
    assert not {WRITABLE_BY_KEY[key].id for key in CHANGEABLE} & NEVER


@pytest.mark.parametrize(
    ("topic", "payload", "retained", "reason"),
    [
        ("jkbms/a/1/charging_switch/set", "OFF", True, "retained"),
        ("jkbms/a/2/charging_switch/set", "OFF", False, "silent"),
        ("jkbms/a/1/charging_switch/set", "maybe", False, "neither ON nor OFF"),
        ("jkbms/a/1/password/set", "123456", False, "cannot be changed"),
        ("jkbms/a/1/cell_count/set", "8", False, "cannot be changed"),
        ("jkbms/a/1/max_charge_current/set", "80", False, "cannot be changed"),
        ("jkbms/a/1/dedicated_charger_switch/set", "ON", False, "cannot be changed"),
        ("jkbms/a/1/cell_voltage_overvoltage_protection/set", "3.6", False, "cannot be changed"),
    ],
)
async def test_refused_at_once(topic: str, payload: str, retained: bool, reason: str, tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        me.app.command(topic, payload, retained)
        assert me.outcomes[-1].result == "refused"
        assert reason in me.outcomes[-1].reason
        assert far.bms.writes == []


async def test_every_other_key_and_address_is_refused_by_the_strategy_itself() -> None:
    async with ttl_port(SimulatedFirst()) as far:
        async with PLUGIN.open(PLUGIN.schema({"port": far.port}), BusStatus("a")) as source:
            for key in {*specs(), *WRITABLE_BY_KEY, "password", "_current", ""} - CHANGEABLE:
                with pytest.raises(CommandError, match="never written"):
                    await change(source, Deed(Command("a", 1, key, 1.0, 0.0)))  # type: ignore[arg-type]
            with pytest.raises(CommandError, match="not on this port"):
                await change(source, Deed(Command("a", 2, "charging_switch", False, 0.0)))  # type: ignore[arg-type]
        assert far.asked == []


async def test_whatever_is_commanded_only_three_ids_are_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(5)
    dice = random.Random(8)
    async with owner("serial", tmp_path) as (me, far):
        settings, secret = dict(far.bms.settings), far.bms.password
        for _ in range(40):
            key = dice.choice(sorted({*specs(), "password", "restart"} - CHANGEABLE))
            me.app.command(f"jkbms/a/1/{key}/set", dice.choice(["ON", "OFF", "1", "3.5", "nan"]), False)
        for key in CHANGEABLE:
            await me.sets(key, "OFF")
        assert {tag for tag, _ in written(far)} <= {0xAB, 0xAC, 0x9D}
        assert far.bms.settings == settings | dict.fromkeys(CHANGEABLE, False)
        assert far.bms.password == secret
    for text in (secret.decode(), secret.hex(" "), secret.hex()):
        assert text not in caplog.text
        assert text not in (tmp_path / "writes.jsonl").read_text()


async def test_the_level_off_offers_no_switch(tmp_path: Path) -> None:
    async with owner("serial", tmp_path, level="off") as (me, far):
        assert me.app.commands.controls(("a", 1), {}) == {}
        me.app.command("jkbms/a/1/charging_switch/set", "OFF", False)
        assert me.outcomes[-1].result == "refused"
        assert far.bms.writes == []
