"""The whole way: simulated wires, our process, mosquitto, a real Home Assistant, read back by unique id.

One Home Assistant plays for the whole file; each test leaves the stage as it found it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import aiomqtt
import pytest
import pytest_asyncio

from jkbms_addon.mqtt.discovery import BRIDGE
from tests.conftest import mosquitto
from tests.end_to_end.batteries import Battery, SteadyBms
from tests.end_to_end.expected import devices, everything
from tests.end_to_end.home_assistant import home_assistant, needs_home_assistant
from tests.end_to_end.stage import CAN_V1, FIRST, GATE, POLLED, Stage, staged

pytestmark = [pytest.mark.home_assistant, needs_home_assistant, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    async with mosquitto(folder) as broker, home_assistant(broker.port) as ha, staged(broker, ha, folder) as ready:
        await complete(ready)
        yield ready


async def complete(stage: Stage) -> None:
    """Wait until every entity is there that must be, and all batteries show their values."""

    async def there() -> bool:
        return set(everything(stage)) <= set(await stage.look_up())

    await comes(there, 90)
    await stage.healed(stage.park, 60)


async def comes(true: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """Wait until something is true; how long it took."""
    start = time.monotonic()
    while not await true():
        assert time.monotonic() - start < seconds, "did not happen in time"
        await asyncio.sleep(0.1)
    return round(time.monotonic() - start, 1)


async def test_every_entity_as_our_tables_say(stage: Stage) -> None:
    wanted, found = everything(stage), await stage.look_up()
    assert set(found) - set(wanted) == set()
    assert set(wanted) - set(found) == set()
    wrong = {unique: text for unique, entity in wanted.items() if (text := entity.differences(found[unique]))}
    assert not wrong, lines(wrong)
    print(f"{len(wanted)} entities of {len(devices(stage))} devices")


async def test_every_state_as_the_batteries_say(stage: Stage) -> None:
    """Those that are disabled by default, too."""
    await stage.ha.enable_everything()
    end, wrong = time.monotonic() + 120, {"nothing": ["looked at yet"]}
    while wrong and time.monotonic() < end:
        await asyncio.sleep(1)
        wrong = misread(stage, await stage.ha.states())
    assert not wrong, lines(wrong)
    assert stage.ha.complaints() == []


def misread(stage: Stage, states: dict[str, Any]) -> dict[str, list[str]]:
    """Entities without a state, or with another one than they must have."""
    found = {}
    for unique, entity in everything(stage).items():
        state = states.get(stage.unique[unique])
        text = entity.misread(state) if state else ["has no state"]
        if text:
            found[unique] = text
    return found


def lines(wrong: dict[str, list[str]]) -> str:
    return "\n".join(f"{unique}: {', '.join(text)}" for unique, text in wrong.items())


WRITABLE = (POLLED, GATE, FIRST)


async def set_all(stage: Stage, wishes: dict[str, float | bool]) -> None:
    """Through the services of Home Assistant, by entity id."""
    for entity_id, value in wishes.items():
        domain = entity_id.partition(".")[0]
        if domain == "number":
            await stage.ha.call(domain, "set_value", entity_id=entity_id, value=value)
        else:
            await stage.ha.call(domain, "turn_on" if value else "turn_off", entity_id=entity_id)


def other_values(stage: Stage, battery: Battery, states: dict[str, Any]) -> dict[str, float | bool]:
    """For every enabled number and switch of a battery another value, one step away."""
    told = battery.says()
    wishes: dict[str, float | bool] = {}
    for key in battery.controls:
        entity_id = stage.entity(battery, key)
        if entity_id not in states:
            continue
        if isinstance(told[key], bool):
            wishes[key] = not told[key]
        else:
            _, high, step = battery.limits(key)
            up = told[key] + step <= high and key not in LOWERED
            wishes[key] = round(told[key] + (step if up else -step), 4)
    return wishes


# one step up would break a rule between settings, or be another battery's limit
LOWERED = ("cell_voltage_undervoltage_protection",)


async def unlocked(stage: Stage, *, on: bool) -> None:
    lock = stage.unique[f"{BRIDGE}_writing"]
    await stage.ha.call("switch", "turn_on" if on else "turn_off", entity_id=lock)
    await shows(stage, lock, "on" if on else "off")


async def shows(stage: Stage, entity_id: str, *states: str, seconds: float = 20) -> dict[str, Any]:
    """Wait for one of these states."""
    end, state = time.monotonic() + seconds, {}
    while time.monotonic() < end:
        state = (await stage.ha.states()).get(entity_id, {})
        if state.get("state") in states:
            return state
        await asyncio.sleep(0.1)
    raise AssertionError(f"{entity_id} is {state.get('state')}, not {states}")


async def outcome(stage: Stage, battery: Battery, key: str, *results: str) -> dict[str, Any]:
    """Wait until the event says what became of a change of this setting."""
    end, told = time.monotonic() + 20, {}
    while time.monotonic() < end:
        told = (await stage.ha.states())[stage.entity(battery, "last_write")]["attributes"]
        if told.get("key") == key and told["event_type"] in results:
            return dict(told)
        await asyncio.sleep(0.1)
    raise AssertionError(f"last write of {battery.device}: {told}")


@pytest.mark.parametrize("bus", WRITABLE)
async def test_every_number_and_switch_is_set_and_read_back(stage: Stage, bus: str) -> None:
    await unlocked(stage, on=True)
    battery = stage.park.of(bus)[0]
    bms = battery.bms
    settings, times = dict(bms.settings), getattr(bms, "times", (0.0, 0.0))
    wishes = other_values(stage, battery, await stage.ha.states())
    assert len(wishes) >= (3 if bus == FIRST else 25)
    assert {type(value) for value in wishes.values()} == ({bool} if bus == FIRST else {bool, float, int})
    begun = time.monotonic()
    for part in batched(list(wishes.items()), 20):  # at most 32 wait for a bus
        await set_all(stage, {stage.entity(battery, key): value for key, value in part})
        await comes(partial(taken, battery, part), limit(60))
    print(f"{bus}: {len(wishes)} settings in {time.monotonic() - begun:.0f} s")
    assert len(bms.writes) >= len(wishes)
    await stage.healed(stage.park, limit(20))  # what is shown is what the battery says
    # as it was for the next test; a wish that is fulfilled already makes the program look at once
    bms.settings = settings
    if isinstance(bms, SteadyBms):
        bms.times = times
    wishes = {
        key: battery.says()[key] for key in ("charging_switch", "cell_request_charge_voltage_time") if key in wishes
    }
    await set_all(stage, {stage.entity(battery, key): value for key, value in wishes.items()})
    await stage.healed(stage.park, limit(20))
    assert stage.ha.complaints() == []


async def taken(battery: Battery, wanted: list[tuple[str, Any]]) -> bool:
    """Whether the simulated BMS is set so."""
    told = battery.says()
    return all(agrees_with(told[key], value) for key, value in wanted)


def agrees_with(told: Any, value: float | bool) -> bool:
    return told is value if isinstance(value, bool) else abs(told - value) < 1e-6


def batched(items: list[Any], size: int) -> list[list[Any]]:
    return [items[n : n + size] for n in range(0, len(items), size)]


@pytest.mark.parametrize("bus", WRITABLE)
async def test_what_is_refused_springs_back_and_says_why(stage: Stage, bus: str) -> None:
    battery = stage.park.of(bus)[0]
    switch = stage.entity(battery, "charging_switch")
    writes = len(battery.bms.writes)
    await unlocked(stage, on=False)
    await stage.ha.call("switch", "turn_off", entity_id=switch)
    told = await outcome(stage, battery, "charging_switch", "refused")
    assert "locked" in told["reason"]
    assert (await stage.ha.states())[switch]["state"] == "on"
    await unlocked(stage, on=True)
    if bus != FIRST:
        number = stage.entity(battery, "max_charge_current")
        assert await stage.ha.refuses("number", "set_value", entity_id=number, value=700)  # outside of its range
        release = stage.entity(battery, "cell_voltage_overvoltage_recovery")
        # within its range, but not below the protection
        await stage.ha.call("number", "set_value", entity_id=release, value=3.65)
        told = await outcome(stage, battery, "cell_voltage_overvoltage_recovery", "refused")
        assert "must be below cell_voltage_overvoltage_protection" in told["reason"]
        # past Home Assistant, as any program on the broker could
        topic = f"jkbms/{bus}/{battery.address}/max_charge_current/set"
        await stage.ha.call("mqtt", "publish", topic=topic, payload="700")
        told = await outcome(stage, battery, "max_charge_current", "refused")
        assert "not within 1 to 600 A" in told["reason"]
    assert len(battery.bms.writes) == writes
    if isinstance(battery.bms, SteadyBms):
        battery.bms.reaction = "ignore"
    else:
        battery.bms.taken = False
    await stage.ha.call("switch", "turn_off", entity_id=switch)
    await outcome(stage, battery, "charging_switch", "not_taken")
    assert (await stage.ha.states())[switch]["state"] == "on"
    if isinstance(battery.bms, SteadyBms):
        battery.bms.reaction = "take"
    else:
        battery.bms.taken = True
    await unlocked(stage, on=False)
    assert stage.ha.complaints() == []


async def test_who_only_listens_offers_nothing_to_change(stage: Stage) -> None:
    entities = await stage.look_up()
    listening = [b.device for b in stage.park.batteries if not b.writable]
    assert len(listening) == 6
    domains = {
        entity["entity_id"].partition(".")[0]
        for unique, entity in entities.items()
        if any(unique.startswith(f"{device}_") for device in listening)
    }
    assert domains == {"sensor", "binary_sensor"}


def moved(stage: Stage) -> None:
    """Every battery says something new, so that an old state cannot pass for a current one."""
    for battery in stage.park.batteries:
        bms = battery.bms
        assert bms.current is not None
        bms.current = bms.current + (0.5 if bms.current > 0 else -0.5)
        bms.lowest = 3.225 if bms.lowest == 3.2 else 3.2  # 0.4 V of sixteen cells: V1 of CAN tells tenths


HEALING = 5.0  # s from the end of a fault until everything is right again
PACE = 5.0  # s in which the pace of its frames tells V1 from V2; until then the sign of the current is not known
RECONNECT = 10.0  # s after which Home Assistant looks again for a broker that it lost


def limit(seconds: float) -> float:
    """The same for a machine that is busy with other things: what runs has to wait for its turn."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def test_home_assistant_is_started_again(stage: Stage) -> None:
    await stage.ha.stop()
    moved(stage)
    await stage.ha.start(keep=True)
    took = await stage.healed(stage.park, limit(HEALING))
    assert set(await stage.look_up()) == set(everything(stage))
    print(f"after a start of Home Assistant: {took}")
    assert stage.ha.complaints() == []


async def test_the_broker_is_started_again(stage: Stage) -> None:
    """It keeps nothing: everything has to be announced anew."""
    expected = set(everything(stage))
    await stage.broker.kill()
    took = await stage.unavailable(stage.park, 5)
    print(f"broker gone: unavailable after {took} s")
    moved(stage)
    await asyncio.sleep(3)
    await stage.broker.start()
    ours = await told_again(stage, limit(HEALING))
    took_all = await stage.healed(stage.park, limit(HEALING) + RECONNECT)
    print(f"broker back: told by the program after {ours} s, shown by Home Assistant after {took_all} more")
    assert set(await stage.look_up()) == expected
    others = [line for line in stage.ha.complaints() if not any(words in line for words in BROKER_GONE)]
    assert others == []


BROKER_GONE = ("Disconnected from MQTT server", "Failed to connect to MQTT server", "The connection was lost")


async def told_again(stage: Stage, seconds: float) -> float:
    """How long it took until the broker had been told that every battery is there, and its values."""
    start = time.monotonic()
    left = {f"jkbms/{b.bus}/{b.address}/{leaf}" for b in stage.park.batteries for leaf in ("availability", "state")}
    async with aiomqtt.Client("127.0.0.1", stage.broker.port) as client, asyncio.timeout(seconds):
        await client.subscribe("jkbms/#")
        async for message in client.messages:
            left.discard(str(message.topic))
            if not left:
                break
    return round(time.monotonic() - start, 1)


async def test_the_program_is_started_again(stage: Stage) -> None:
    expected = set(everything(stage))
    assert await stage.program.stop() == 0
    took = await stage.unavailable(stage.park, limit(2))
    print(f"program stopped: unavailable after {took} s")
    moved(stage)
    await stage.program.start()
    healed = await stage.healed(stage.park, limit(30))
    print(f"program started: {healed}")
    slow = {bus: s for bus, s in healed.measured.items() if s > limit(HEALING) + (PACE if bus == CAN_V1 else 0)}
    assert slow == {}
    assert set(await stage.look_up()) == expected
    assert stage.ha.complaints() == []


async def test_the_program_is_killed(stage: Stage) -> None:
    """Nobody says goodbye; the broker's will does."""
    assert stage.program.process is not None
    stage.program.process.kill()
    await stage.program.process.wait()
    took = await stage.unavailable(stage.park, limit(2))
    moved(stage)
    await stage.program.start()
    print(f"program killed: unavailable after {took} s, healed after {await stage.healed(stage.park, limit(30))}")
    assert stage.ha.complaints() == []


async def test_a_battery_is_taken_out_of_the_options(stage: Stage) -> None:
    gone = stage.park.one(POLLED, 3)
    rest = stage.park.without(gone)
    before, devices_before = await stage.look_up(), await stage.ha.devices()
    rack = next(bus for bus in stage.program.options["buses"] if bus["name"] == POLLED)
    await stage.program.stop()
    rack["addresses"] = "1-2"
    await stage.program.start()
    took = await removed(stage, gone)
    await stage.healed(rest, limit(30))
    print(f"removed {took} s after the start of the program")
    await untouched(stage, gone, before, devices_before)
    # it does not come back, whoever starts
    await stage.ha.stop()
    await stage.ha.start(keep=True)
    await stage.healed(rest, limit(20))
    await stage.program.stop()
    await stage.program.start()
    await stage.healed(rest, limit(30))
    await untouched(stage, gone, before, devices_before)
    assert [topic for topic in await retained(stage) if f"/{POLLED}/3/" in topic or "rack_3" in topic] == []
    rack["addresses"] = "1-3"
    await stage.program.stop()
    await stage.program.start()
    await complete(stage)
    assert stage.ha.complaints() == []


async def test_the_device_of_a_silent_battery_is_deleted_in_home_assistant(stage: Stage) -> None:
    gone = stage.park.one(GATE, 6)
    rest = stage.park.without(gone)
    before, devices_before = await stage.look_up(), await stage.ha.devices()
    assert isinstance(gone.bms, SteadyBms)
    gone.bms.silent = True
    await shows(stage, stage.entity(gone, "total_voltage"), "unavailable", seconds=30)
    device = devices_before[gone.device]
    await stage.ha.ask(
        "config/device_registry/remove_config_entry",
        device_id=device["id"],
        config_entry_id=device["config_entries"][0],
    )
    await removed(stage, gone)
    await stage.ha.stop()
    await stage.ha.start(keep=True)
    await stage.healed(rest, limit(20))
    await stage.program.stop()
    await stage.program.start()
    await stage.healed(rest, limit(30))
    await untouched(stage, gone, before, devices_before)
    gone.bms.silent = False  # it is put back: a battery that speaks is shown
    await complete(stage)
    assert [line for line in stage.ha.complaints() if OWN_TIDYING.format(gone.device) not in line] == []


# Home Assistant clears the topic of a deleted device once for each of its entities, and wonders about all but the first
OWN_TIDYING = "No device components to cleanup for {}"


async def removed(stage: Stage, gone: Battery) -> float:
    """Wait until neither the device nor an entity of it is known; how long it took."""

    async def away() -> bool:
        left = [unique for unique in await stage.ha.entities() if unique.startswith(f"{gone.device}_")]
        return not left and gone.device not in await stage.ha.devices()

    return await comes(away, 20)


async def untouched(stage: Stage, gone: Battery, before: dict[str, Any], devices_before: dict[str, Any]) -> None:
    """All others are as they were, under the same ids; only the bank's share of one that it never had may differ."""
    after, devices_after = await stage.look_up(), await stage.ha.devices()
    assert set(devices_after) == set(devices_before) - {gone.device}
    assert {name: d["id"] for name, d in devices_after.items()} == {
        name: devices_before[name]["id"] for name in devices_after
    }
    wanted = {unique: e["id"] for unique, e in before.items() if not unique.startswith(f"{gone.device}_")}
    assert {unique: e["id"] for unique, e in after.items()} == wanted


async def retained(stage: Stage) -> set[str]:
    """Topics that the broker keeps a message of."""
    found: set[str] = set()
    async with aiomqtt.Client("127.0.0.1", stage.broker.port) as client:
        await client.subscribe("#")
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                async for message in client.messages:
                    if message.retain:
                        found.add(str(message.topic))
    assert f"jkbms/{POLLED}/1/settings" in found  # so that an empty answer proves nothing
    return found
