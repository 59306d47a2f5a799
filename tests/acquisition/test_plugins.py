"""Plug-ins of other people: each can hurt only its own bus; what works gets belief, health and an end for nothing."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import voluptuous as vol

from jkbms_addon.acquisition import contract
from jkbms_addon.acquisition.contract import Plugin
from jkbms_addon.acquisition.foreign import Foreign, cleaned
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.command import Command
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.errors import LinkError, OptionsError
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.views.health import Summary, overview
from tests.conftest import Mosquitto, until
from tests.mqtt.test_client import listening
from tests.played import PlayedClock
from tests.programs import program

HEAD = """
import asyncio
from contextlib import nullcontext
import voluptuous as vol
from jkbms_addon.acquisition import Plugin
from jkbms_addon.errors import LinkError
from jkbms_addon.model import Reading, derive
ANY = vol.Schema({vol.Optional("port"): str})

class Source:
    def __init__(self, options=None):
        self.n = 0
    async def poll(self):
        await asyncio.sleep(0.2)
        return [Reading(1, "live", {"total_voltage": 53.5, "current": -1.0, "state_of_charge": 61})]

def opened(options, status):
    return nullcontext(Source(options))
"""
GOOD = HEAD + "PLUGIN = Plugin(ANY, opened)\n"
PLUGINS = {
    "good": GOOD,
    "name_error": "PLUGIN = Plugin(undefined)\n",
    "leaves": "import sys\nsys.exit(3)\n",
    "no_plugin": "PLUGIN = 5\n",
    "newer": HEAD + "PLUGIN = Plugin(ANY, opened, api=2)\n",
    "odd_schema": HEAD + "PLUGIN = Plugin(vol.Schema({vol.Optional('port'): lambda value: value + 1}), opened)\n",
    "no_schema": HEAD + "PLUGIN = Plugin(None, opened)\n",
    "odd_target": HEAD + "PLUGIN = Plugin(ANY, opened, target=lambda options: options['nothing'])\n",
    "odd_open": HEAD + "PLUGIN = Plugin(ANY, lambda options, status: 1 / 0)\n",
    "raises": HEAD + "class Bad(Source):\n    async def poll(self):\n        raise KeyError('x')\n"
    "PLUGIN = Plugin(ANY, lambda options, status: nullcontext(Bad()))\n",
    "leaves_later": HEAD + "class Bad(Source):\n    async def poll(self):\n        raise SystemExit(7)\n"
    "PLUGIN = Plugin(ANY, lambda options, status: nullcontext(Bad()))\n",
    "cancels": HEAD + "class Bad(Source):\n    async def poll(self):\n        raise asyncio.CancelledError\n"
    "PLUGIN = Plugin(ANY, lambda options, status: nullcontext(Bad()))\n",
    "spins": HEAD + "class Bad(Source):\n    async def poll(self):\n        self.n += 1\n        return []\n"
    "PLUGIN = Plugin(ANY, lambda options, status: nullcontext(Bad()))\n",
    "stranger": HEAD + "class Bad(Source):\n    async def poll(self):\n        await asyncio.sleep(0.2)\n"
    "        return [Reading(77, 'live', {'state_of_charge': 5}), Reading('1', 'live', {})]\n"
    "PLUGIN = Plugin(ANY, lambda options, status: nullcontext(Bad()))\n",
}
PROBLEMS = {
    "name_error": "NameError",
    "leaves": "SystemExit",
    "no_plugin": "is not a plug-in",
    "newer": "is made for interface 2 of plug-ins",
    "odd_schema": "TypeError",
    "no_schema": "TypeError",
    "odd_target": "KeyError",
    "odd_open": "ZeroDivisionError",
    "raises": "KeyError",
    "leaves_later": "SystemExit",
    "cancels": "cancelled its own poll",
    "stranger": "address",
    "twice": "is offered by two plug-ins",
}


def install(folder: Path, name: str, source: str, point: str = "") -> None:
    """As pip would, into a folder."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[jkbms_addon.acquisition]\n{point or name} = {name}:PLUGIN\n")


async def test_a_plugin_hurts_only_its_own_bus(broker: Mosquitto, tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    for name, source in PLUGINS.items():
        install(folder, name, source)
    for name in ("one_of_two", "other_of_two"):
        install(folder, name, GOOD, "twice")
    install(folder, "impostor", "raise RuntimeError\n", "master")
    (folder / "json.py").write_text("raise ImportError('this is not the json of Python')\n")
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        options = {
            "buses": [
                {"name": "a", "strategy": "master", "port": far.port, "addresses": "1", "interval": 0.5},
                *({"name": name, "strategy": name, "port": f"/x/{name}"} for name in (*PLUGINS, "twice")),
                {"name": "again", "strategy": "good"},
                {"name": "once_more", "strategy": "good"},
            ],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
        }
        (tmp_path / "options.json").write_text(json.dumps(options))
        async with program("run", "--options", str(tmp_path / "options.json")) as process:
            well = ("a", "good", "again", "once_more")
            await until(lambda: all(heard.last(f"jkbms/{bus}/1/state") for bus in well), 15)

            def reasons() -> dict[str, str]:
                health = json.loads(heard.last("jkbms/bridge/health") or "{}")
                return {name: bus["reason"] for name, bus in health.get("buses", {}).items()}

            await until(lambda: all(text in reasons().get(name, "") for name, text in PROBLEMS.items()), 15)
            assert {name: reasons()[name] for name in (*well, "spins")} == dict.fromkeys((*well, "spins"), "ok")
            times = [at for at, topic, *_ in heard.messages if topic == "jkbms/a/1/state"]
            await asyncio.sleep(3)
            later = [at for at, topic, *_ in heard.messages if topic == "jkbms/a/1/state"]
            assert len(later) - len(times) >= 4  # nobody keeps it from its turn
            process.terminate()
            began = time.monotonic()
            _, err = await process.communicate()
            assert time.monotonic() - began < 5
    assert process.returncode == 0
    assert err.decode().count("ZeroDivisionError: division by zero") <= 3  # shown once, not a second


class Talking:
    """Says what it is told to."""

    def __init__(self, *readings: Reading) -> None:
        self.readings = readings

    async def poll(self) -> Sequence[Reading]:
        return self.readings


def foreign(*readings: Reading) -> Foreign:
    return Foreign(Talking(*readings), BusStatus("t", clock=PlayedClock()), frozenset(range(16)))


async def test_a_reading_without_an_end_gets_thirty_seconds() -> None:
    (found,) = await foreign(Reading(1, "live", {"state_of_charge": 61})).poll()
    assert found.valid_for == 30
    (found,) = await foreign(Reading(1, "live", {"state_of_charge": 61}, valid_for=10)).poll()
    assert found.valid_for == 10


async def test_what_cannot_be_is_not_believed_and_counted() -> None:
    source = foreign(Reading(1, "live", {"state_of_charge": 161}))
    assert await source.poll() == []
    assert source.intake.status.implausible == 1


async def test_a_poll_that_never_suspends_has_a_floor() -> None:
    source = foreign()
    began = source.intake.clock()
    for _ in range(50):
        await source.poll()
    assert source.intake.clock() - began == pytest.approx(5.0)


def test_values_of_another_kind_are_unknown() -> None:
    told: dict[str, Any] = {
        "cell_voltage": [3.3, float("nan"), "x"],
        "total_voltage": float("inf"),
        "current": "much",
        "charging": 1,
        "discharging": "yes",
        "model": "x" * 1000,
        "alarms": ["fire", 5],
        "nonsense": 1,
    }
    assert cleaned(told) == {
        "cell_voltage": (3.3, None, None),
        "total_voltage": None,
        "current": None,
        "charging": True,
        "discharging": None,
        "model": "x" * 255,
        "alarms": ("fire",),
    }


@pytest.mark.parametrize("latency", [float("nan"), float("inf"), "soon", True])
async def test_what_is_no_time_is_no_latency(latency: Any) -> None:
    source = foreign(Reading(1, "live", {"state_of_charge": 61}, latency=latency))
    assert len(await source.poll()) == 1
    assert source.intake.status.bms(1).latency is None
    overview({"t": source.intake.status}, Summary({}), source.intake.clock(), lambda _key: True)  # of all buses


async def test_names_of_alarms_are_texts() -> None:
    names: Any = ("fire", 5, None)
    (found,) = await foreign(Reading(1, "live", {"alarms": ("fire",)}, alarm_names=names)).poll()
    assert found.alarm_names == ("fire",)


@pytest.mark.parametrize("address", [1.0, True, "1", None])
async def test_what_only_equals_an_address_is_none(address: Any) -> None:
    assert await foreign(Reading(address, "live", {"state_of_charge": 61})).poll() == []


@pytest.mark.parametrize("addresses", [{1000}, {-1}, {1, 5000}])
def test_addresses_that_no_name_can_hold_are_refused(addresses: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = Plugin(vol.Schema({}), lambda *_: nullcontext(Talking()), addresses=lambda _: frozenset(addresses))
    monkeypatch.setattr(contract, "load", lambda _name: plugin)
    with pytest.raises(OptionsError, match="not within 0 to 999"):
        contract.configured("t", "far", {})


class Odd(Talking):
    """Changes settings, and tells it in its own way."""

    async def change(self, _deed: Deed) -> Change:
        told: Any = Decimal("3.5")
        return Change("done", "x" * 5000, told, object())  # type: ignore[arg-type]


async def test_what_became_of_a_change_can_be_written_down() -> None:
    source = Foreign(Odd(), BusStatus("t", clock=PlayedClock()), frozenset(range(16)))
    told = await source.change(Deed(Command("t", 1, "max_charge_current", 5.0, 0.0)))
    assert told == Change("failed", "x" * 255, None, None)


async def test_a_link_error_of_a_plugin_stays_one() -> None:
    class Gone:
        async def poll(self) -> Sequence[Reading]:
            raise LinkError("gone")

    with pytest.raises(LinkError, match="gone"):
        await Foreign(Gone(), BusStatus("t", clock=PlayedClock()), frozenset()).poll()


def test_the_contract_has_a_number() -> None:
    assert Plugin.__dataclass_fields__["api"].default == 1
