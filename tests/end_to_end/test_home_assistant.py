"""The whole way: simulated wires, our process, mosquitto, a real Home Assistant, read back by unique id.

One Home Assistant plays for the whole file; each test leaves the stage as it found it.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import crowded, mosquitto
from tests.end_to_end.acts import (
    batched,
    complete,
    lines,
    misread,
    moved,
    other_values,
    outcome,
    removed,
    retained,
    set_all,
    shows,
    taken,
    told_again,
    unlocked,
    untouched,
)
from tests.end_to_end.batteries import SteadyBms
from tests.end_to_end.expected import BRIDGE, devices, everything
from tests.end_to_end.home_assistant import home_assistant, needs_home_assistant
from tests.end_to_end.stage import CAN_V1, FIRST, GATE, POLLED, Stage, staged

pytestmark = [pytest.mark.home_assistant, needs_home_assistant, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    async with mosquitto(folder) as broker, home_assistant(broker.port) as ha, staged(broker, ha, folder) as ready:
        await complete(ready)
        yield ready


async def test_every_entity_as_our_tables_say(stage: Stage) -> None:
    wanted, found = everything(stage), await stage.look_up()
    assert set(found) - set(wanted) == set()
    assert set(wanted) - set(found) == set()
    wrong = {unique: text for unique, entity in wanted.items() if (text := entity.differences(found[unique]))}
    assert not wrong, lines(wrong)
    shown = await stage.ha.devices()
    about = devices(stage, shown)
    assert {name: {key: shown[name][key] for key in told} for name, told in about.items()} == about
    assert set(shown) == set(about)
    assert {name: d["via_device_id"] for name, d in shown.items()} == {
        name: None if name == BRIDGE else shown[BRIDGE]["id"] for name in shown
    }
    homes = {unique: shown[entity.device]["id"] for unique, entity in wanted.items()}
    assert {unique: found[unique]["device_id"] for unique in homes} == homes
    print(f"{len(wanted)} entities of {len(shown)} devices")


async def test_every_state_as_the_batteries_say(stage: Stage) -> None:
    """Those that are disabled by default, too."""
    await stage.ha.enable_everything()
    end, wrong = time.monotonic() + 120, {"nothing": ["looked at yet"]}
    while wrong and time.monotonic() < end:
        await asyncio.sleep(1)
        wrong = misread(stage, await stage.ha.states())
    assert not wrong, lines(wrong)
    assert stage.ha.complaints() == []


WRITABLE = (POLLED, GATE, FIRST)


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
    for part in batched(list(wishes.items()), 5):  # what has waited for ten seconds is not done any more
        await set_all(stage, {stage.entity(battery, key): value for key, value in part})
        await taken(battery, part, limit(30))
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


HEALING = 5.0  # s from the end of a fault until everything is right again
PACE = 5.0  # s in which the pace of its frames tells V1 from V2; until then the sign of the current is not known
RECONNECT = 10.0  # s after which Home Assistant looks again for a broker that it lost


def limit(seconds: float) -> float:
    """The same for a machine that is busy with other things: what runs has to wait for its turn."""
    return seconds * crowded()


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
