"""Settings changed from the page: raw messages of its websocket, the whole program, simulated BMSs behind a pty."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from jkbms_addon.app import App
from jkbms_addon.commands import audit
from jkbms_addon.commands.routes import Routes
from jkbms_addon.options.file import parse
from jkbms_addon.page.place import PageOptions
from jkbms_addon.page.visitor import OPEN_FOR
from jkbms_addon.simulator.far_end import SerialBus, running, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import free_port, heard, until

TOKEN = "correct horse battery staple"
Changes = list[dict[str, Any]]
ANSWERS = (
    *("no", "lock", "plan", "file", "begun", "told", "preview", "ports", "bundle"),
    *("options", "review", "saved", "usual", "inverter_setup", "inverter_rehearsal"),
)


@dataclass
class House:
    """The program with two packs on a bus."""

    app: App
    bus: SerialBus
    port: int
    folder: Path

    def records(self) -> list[dict[str, Any]]:
        """The audit, without what is still open."""
        return audit.read(self.folder)

    def asked(self, pack: int, key: str) -> Any:
        """What a BMS holds."""
        return self.bus.batteries[pack].settings[key]


@asynccontextmanager
async def house(folder: Path, level: str = "protections", count: int = 2) -> AsyncIterator[House]:
    packs = [SimulatedBms(n, current=0.0, serial_number=f"{n:010}") for n in range(2, count + 1)]
    async with serial_bus([SimulatedBms(1, current=0.0), *packs]) as bus:
        port = free_port()
        raw = {
            "buses": [{"name": "garage", "strategy": "master", "port": bus.port, "addresses": f"1-{count}"}],
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "writes": {"level": level},
        }
        app = App(replace(parse(raw), page=PageOptions(port, TOKEN, host="127.0.0.1")), folder)
        async with running(app.run()):
            await until(lambda: _known(app, count), 10)
            yield House(app, bus, port, folder)


def _known(app: App, count: int) -> bool:
    snapshots = list(app.store)
    return len(snapshots) == count and all("settings" in one.parts and "about" in one.parts for one in snapshots)


class Client:
    """One browser's connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.number = socket, 0
        self.jobs: list[dict[str, Any]] = []  # as last told: a tick that comes while an answer is awaited counts, too

    async def said(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(15):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                self.jobs = message.get("jobs", self.jobs)
                if message["t"] in kinds:
                    return message

    async def send(self, kind: str, **more: Any) -> None:
        self.number += 1
        await self.socket.send(json.dumps({"t": kind, "id": self.number, **more}))

    async def ask(self, kind: str, **more: Any) -> dict[str, Any]:
        """The answer to a question."""
        await self.send(kind, **more)
        while True:
            answer = await self.said(*ANSWERS)
            if answer["id"] == self.number:
                return answer

    async def write(self, changes: Changes, **more: Any) -> list[dict[str, Any]]:
        """Steps of a write, or its refusal alone."""
        answer = await self.ask("write", changes=changes, **more)
        if answer["t"] == "no":
            return [answer]
        return await self.steps()

    async def steps(self) -> list[dict[str, Any]]:
        """All steps of the write that is under way."""
        found = []
        while (message := await self.said("step", "done"))["t"] == "step":
            found.append(message)
        return found


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    address = f"127.0.0.1:{port}"
    async with connect(f"ws://{address}/live", origin=f"http://{address}") as socket:  # type: ignore[arg-type]
        await socket.send(json.dumps({"t": "hello", "v": 1, "token": TOKEN}))
        found = Client(socket)
        await found.said("hello")
        yield found


def change(key: str, to: object, pack: int = 1) -> dict[str, Any]:
    return {"pack": f"garage/{pack}", "key": key, "to": to}


async def test_a_change_is_written_read_back_and_recorded(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        assert await page.ask("unlock") == {"t": "lock", "open": True, "left_s": OPEN_FOR, "id": 1}
        wishes = [change("max_charge_current", 120.0), change("balancing_switch", False)]
        plan = await page.ask("plan", changes=wishes)
        assert [(one["key"], one["before"], one["to"]) for one in plan["steps"]] == [
            ("max_charge_current", 100.0, 120.0),
            ("balancing_switch", True, False),
        ]
        steps = await page.write(wishes, seen={"garage/1": {"max_charge_current": 100.0, "balancing_switch": True}})
        assert [(one["result"], one["before"], one["after"]) for one in steps] == [
            ("applied", 100.0, 120.0),
            ("applied", True, False),
        ]
        assert home.asked(1, "max_charge_current") == 120.0
        await until(lambda: len(home.records()) == 2)
        assert {one["source"] for one in home.records()} == {"page"}
        undo = await page.write([change("max_charge_current", 100.0)], seen={"garage/1": {"max_charge_current": 120}})
        assert undo[0]["result"] == "applied"
        assert not home.app.commands.unlocked  # the switch of MQTT is another one


async def test_nothing_is_written_without_level_and_unlock(tmp_path: Path) -> None:
    wishes = [change("max_charge_current", 120.0)]
    async with house(tmp_path) as home, client(home.port) as page, client(home.port) as other:
        assert (await page.write(wishes))[0]["reason"] == "writing is locked in this page"
        await other.ask("unlock")  # of another connection
        assert (await page.write(wishes))[0]["t"] == "no"
        await page.ask("unlock")
        await page.ask("lock")
        assert (await page.write(wishes))[0]["t"] == "no"
        home.app.commands.lock("ON", retained=False)  # and MQTT's switch opens nothing here
        assert (await page.write(wishes))[0]["t"] == "no"
        assert home.bus.batteries[1].writes == []
    for level, why in (("off", "writing is off"), ("settings", "is not allowed by writes.level settings")):
        folder = tmp_path / level
        folder.mkdir()
        async with house(folder, level) as home, client(home.port) as page:
            await page.ask("unlock")
            assert why in (await page.write(wishes))[0]["reason"]
            assert home.bus.batteries[1].writes == []


async def test_what_is_refused_by_rule_range_or_sense(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        for wish, why in (
            (change("cell_request_charge_voltage", 3.9), "not within"),
            (change("cell_voltage_overvoltage_recovery", 3.66), "not within"),
            (change("cell_request_float_voltage", 3.46), "must be below or equal to cell_request_charge_voltage"),
            (change("device_address", 3), "cannot be changed"),
            (change("max_charge_current", "120"), "is no value"),
            (change("max_charge_current", None), "is no value"),
            (change("max_charge_current", 1e300), "is no value"),
            (change("nothing", 1), "needs pack, key and to"),
            ({"pack": "garage", "key": "max_charge_current", "to": 1}, "is no battery"),
            (change("max_charge_current", 120.0, pack=9), "silent"),
        ):
            answer = (await page.write([wish]))[0]
            assert answer["t"] == "no", wish
            assert why in answer["reason"], wish
        assert (await page.write([]))[0]["reason"] == "nothing is to be changed"
        assert (await page.write([change("max_charge_current", 100.0)]))[0]["reason"] == "nothing differs"
        assert home.bus.batteries[1].writes == []


async def test_another_value_than_was_shown(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        home.bus.batteries[1].settings["max_charge_current"] = 90.0  # on the BMS's own app, not heard of yet
        wish = [change("max_charge_current", 120.0)]
        step = (await page.write(wish, seen={"garage/1": {"max_charge_current": 100.0}}))[0]
        assert step["result"] == "refused"
        assert step["reason"].endswith("is 90.0 A now, and 100.0 A was shown: look again")
        assert home.bus.batteries[1].writes == []


@pytest.mark.parametrize(
    ("reaction", "result", "why"),
    [
        ("refuse", "refused", "beyond this model's limit"),
        ("ignore", "not_taken", "did not take the value"),
        ("dead", "failed", "the BMS did not acknowledge"),
    ],
)
async def test_a_plan_ends_with_the_first_that_is_not_done(
    tmp_path: Path, reaction: str, result: str, why: str
) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        bms = home.bus.batteries[1]
        bms.reaction = reaction
        wishes = [change("max_charge_current", 120.0), change("max_discharge_current", 160.0)]
        first, second = await page.write(wishes)
        assert first["result"] == result
        assert why in first["reason"]
        assert (second["result"], second["reason"]) == ("refused", "not tried: the one before was not done")
        assert bms.settings["max_discharge_current"] == 150.0


async def test_the_lock_in_the_middle(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        wishes = [
            change(key, 10) for key in ("charge_overcurrent_protection_delay", "short_circuit_protection_recovery_time")
        ]
        await page.send("write", changes=[*wishes, change("balancing_switch", False)])
        first = await page.said("step")
        assert first["result"] == "applied"
        await page.send("lock")
        rest = await page.steps()
        assert rest[-1]["result"] == "refused"
        assert home.asked(1, "balancing_switch")


async def test_a_browser_that_leaves_in_the_middle(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        async with client(home.port) as page:
            await page.ask("unlock")
            wishes = [change("charge_overcurrent_protection_delay", 10), change("balancing_switch", False)]
            await page.send("write", changes=wishes)
            await page.said("begun")
        # what was begun is carried out and recorded; nothing more is
        await until(lambda: len(home.records()) >= 1)
        await until(lambda: all(one["outcome"] != "begun" for one in home.records()))
        await heard(home.app.buses["garage"])
        assert home.asked(1, "balancing_switch")
        assert all(one["outcome"] != "begun" for one in home.records())
        async with client(home.port) as again:  # the page is still there
            assert (await again.ask("lock"))["open"] is False


async def test_the_link_lost_in_the_middle(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        home.bus.frozen = True
        for bms in home.bus.batteries.values():
            bms.silent = True
        steps = await page.write([change("max_charge_current", 120.0), change("balancing_switch", False)])
        assert [one["result"] in ("refused", "failed") for one in steps] == [True, True]
        assert home.bus.batteries[1].writes == []


async def test_two_browsers_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as one, client(home.port) as other:
        await one.ask("unlock")
        await other.ask("unlock")
        seen = {"garage/1": {"max_charge_current": 100.0}}
        wish, another = [change("max_charge_current", 120.0)], [change("max_charge_current", 130.0)]
        both = await asyncio.gather(one.write(wish, seen=seen), other.write(another, seen=seen))
        results = sorted(steps[0]["result"] for steps in both)
        assert results == ["applied", "refused"]  # the second one saw what is true no more
        assert home.asked(1, "max_charge_current") in (120.0, 130.0)


async def test_names_are_typed_where_protections_of_several_packs_change(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        wishes = [change("max_charge_current", 120.0, pack) for pack in (1, 2)]
        plan = await page.ask("plan", changes=wishes)
        assert plan["typed"] == ["garage/1", "garage/2"]
        assert "type the name of garage/2" in (await page.write(wishes, typed=["garage/1"]))[0]["reason"]
        assert home.bus.batteries[2].writes == []
        steps = await page.write(wishes, typed=["garage/1", "garage/2"])
        assert [one["result"] for one in steps] == ["applied", "applied"]
        switches = [change("balancing_switch", False, pack) for pack in (1, 2)]
        assert (await page.ask("plan", changes=switches))["typed"] == []


async def test_saved_restored_and_copied(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        file = await page.ask("backup", pack="garage/1")
        assert file["name"].startswith("jkbms-garage-1-")
        assert "PIN" not in file["text"]
        await page.ask("unlock")
        await page.write([change("max_charge_current", 120.0), change("total_battery_capacity", 300)])
        restored = await page.ask("restore", text=file["text"], to=["garage/1"])
        assert [(one["key"], one["to"]) for one in restored["steps"]] == [("max_charge_current", 100.0)]
        assert restored["left_out"] == [{"pack": "garage/1", "key": "total_battery_capacity"}]
        copy = await page.ask("copy", **{"from": "garage/1"}, to=["garage/2"], include=["total_battery_capacity"])
        assert {one["key"] for one in copy["steps"]} == {"max_charge_current", "total_battery_capacity"}
        for kind, more, why in (
            ("restore", {"text": "{}", "to": ["garage/1"]}, "no file of saved settings"),
            ("restore", {"text": 1, "to": ["garage/1"]}, "no file of saved settings"),
            ("restore", {"text": file["text"].replace("LFP", "LTO"), "to": ["garage/1"]}, "has LFP cells"),
            ("copy", {"from": "garage/1", "to": ["garage/1"]}, "to itself"),
            ("copy", {"from": "garage/7", "to": ["garage/1"]}, "silent"),
            ("backup", {"pack": "garage/7"}, "not known"),
            ("backup", {"pack": 7}, "is no battery"),
        ):
            answer = await page.ask(kind, **more)
            assert answer["t"] == "no", kind
            assert why in answer["reason"], kind


async def test_what_is_usual_follows_the_cells(tmp_path: Path) -> None:
    async with house(tmp_path, "off") as home, client(home.port) as page:
        facts = (await page.ask("usual"))["facts"]
        assert facts["cell_voltage_overvoltage_protection"] == [["preset", "LFP", 3.65]]
        assert facts["cell_request_charge_voltage"] == [["preset", "LFP", 3.6], ["own", "LFP", 3.45]]
        assert facts["charge_overcurrent_protection_delay"] == [["preset", None, 3]]
        assert facts["charge_undertemperature_protection"] == [["preset", "LFP", 2.0], ["charging", "LFP", 0]]
        assert facts["charge_overtemperature_protection"] == [["preset", None, 70.0], ["charging", "LFP", 55]]
        assert "max_charge_current" not in facts  # cells, cables and fuse decide
        home.app.commands.chemistry = "Li-ion"  # the owner's word for all of them
        facts = (await page.ask("usual"))["facts"]
        assert facts["power_off_voltage"] == [["preset", "Li-ion", 2.8]]
        assert facts["charge_undertemperature_protection"] == [["charging", "Li-ion", 0]]


async def test_a_pack_that_is_only_read_can_be_copied_from_and_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of an older layout over Bluetooth is."""
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        await page.write([change("max_charge_current", 120.0)])
        why = "settings of this battery are only read"
        monkeypatch.setattr(Routes, "_read_only", lambda _self, wire: why if wire == ("garage", 1) else "")
        copy = await page.ask("copy", **{"from": "garage/1"}, to=["garage/2"])
        assert [(one["pack"], one["key"], one["to"]) for one in copy["steps"]] == [
            ("garage/2", "max_charge_current", 120.0)
        ]
        back = await page.ask("copy", **{"from": "garage/2"}, to=["garage/1"])
        assert back["steps"] == []
        assert {one["reason"] for one in back["refused"]} == {why}


async def test_what_the_owner_of_an_inverter_steers(tmp_path: Path) -> None:
    async with house(tmp_path, "off") as home, client(home.port) as page:
        control = home.app.inverter.control
        assert (await page.ask("owner", key="stop"))["reason"] == "writing is locked in this page"
        assert (await page.ask("preview", key="stop"))["reason"] == "writing is locked in this page"
        assert control.enabled
        await page.ask("unlock")  # the level is about settings of a BMS
        seen = await page.ask("preview", key="max_charge_current", to="40")
        assert (seen["text"], home.app.inverter.control.owner.max_charge_current) == (
            "max_charge_current set to 40",
            None,
        )
        assert (await page.ask("preview", key="nonsense"))["t"] == "no"
        assert await page.ask("owner", key="max_charge_current", to="40") == {
            "t": "told",
            "text": "max_charge_current set to 40",
            "id": 6,
        }
        assert control.owner.max_charge_current == 40
        assert (await page.ask("owner", key="discharging", to="OFF"))["reason"].startswith("a house off the grid")
        assert control.owner.discharging
        assert (await page.ask("owner", key="discharging", to="OFF", sure=True))["text"] == "discharging switched off"
        assert not control.owner.discharging
        for key, to, why in (
            ("max_charge_current", "5000", "not within"),
            ("charge_voltage", "x", "not a number"),
            ("nothing", "1", "no such switch"),
            ("stop", 1, "no such switch"),
            ("stop", "x" * 30, "no such switch"),
        ):
            answer = await page.ask("owner", key=key, to=to)
            assert answer["t"] == "no", key
            assert why in answer["reason"], key
        await page.ask("owner", key="stop")
        assert not control.enabled
