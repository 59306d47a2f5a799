"""What the tests do on the stage, and what they wait for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiomqtt

from tests.end_to_end.batteries import Battery
from tests.end_to_end.expected import BRIDGE, everything
from tests.end_to_end.stage import POLLED, Stage


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


async def taken(battery: Battery, wanted: list[tuple[str, Any]], seconds: float) -> None:
    """Wait until the simulated BMS is set so."""
    end, left = time.monotonic() + seconds, wanted
    while left and time.monotonic() < end:
        await asyncio.sleep(0.1)
        told = battery.says()
        left = [(key, value) for key, value in wanted if not agrees_with(told[key], value)]
    assert not left, f"not taken: {left}"


def agrees_with(told: Any, value: float | bool) -> bool:
    return told is value if isinstance(value, bool) else abs(told - value) < 1e-6


def batched(items: list[Any], size: int) -> list[list[Any]]:
    return [items[n : n + size] for n in range(0, len(items), size)]


def moved(stage: Stage) -> None:
    """Every battery says something new, so that an old state cannot pass for a current one."""
    for battery in stage.park.batteries:
        bms = battery.bms
        assert bms.current is not None
        bms.current = bms.current + (0.5 if bms.current > 0 else -0.5)
        bms.lowest = 3.225 if bms.lowest == 3.2 else 3.2  # 0.4 V of sixteen cells: V1 of CAN tells tenths


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
