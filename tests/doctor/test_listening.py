"""Bytes of a bus for who looks at them: bounded, in small pieces, in their order."""

import asyncio

from jkbms_addon.doctor.listening import MOST, PIECE, Listening
from jkbms_addon.doctor.recording import Chunk


async def collected(tap: Listening, seconds: float) -> list[Chunk | None]:
    return [chunk async for chunk in tap.chunks(seconds)]


async def test_everything_comes_in_order_and_in_pieces() -> None:
    tap = Listening()
    tap("tx", b"question")
    tap("rx", bytes(2 * PIECE + 10))
    found = await collected(tap, 0.1)
    chunks = [one for one in found if one]
    assert [(one.direction, len(one.data)) for one in chunks] == [("tx", 8), ("rx", PIECE), ("rx", PIECE), ("rx", 10)]
    assert found[-1] is None  # nothing came any more
    assert tap.lost == 0


async def test_who_has_no_time_loses_bytes_and_holds_no_more() -> None:
    tap = Listening()
    for _ in range(3 * MOST // 1000):
        tap("rx", bytes(1000))
    assert tap.lost >= 2 * MOST - 2000
    assert sum(len(one.data) for one in await collected(tap, 0.2) if one) <= MOST


async def test_others_get_their_turn_between_two_pieces() -> None:
    tap, turns = Listening(), 0
    tap("rx", bytes(20 * PIECE))

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    count = 0
    async for chunk in tap.chunks(5):
        count += chunk is not None
        if count == 20:
            break
    task.cancel()
    assert turns >= 19
