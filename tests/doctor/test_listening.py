"""What passes on a bus for who looks at it: bounded, in small pieces, in its order."""

import asyncio

from jkbms_addon.doctor.listening import MOST, PIECE, Listening, T
from jkbms_addon.doctor.recording import Passed
from jkbms_addon.link.tap import Medium
from jkbms_addon.wire.can import Frame, Frames

BYTES: Medium = "bytes"
FRAMES: Medium = "frames"


async def collected(tap: Listening[T], seconds: float) -> list[Passed[T] | None]:
    return [chunk async for chunk in tap.pieces(seconds)]


async def test_everything_comes_in_order_and_in_pieces() -> None:
    tap: Listening[bytes] = Listening()
    tap("tx", b"question")
    tap("rx", bytes(2 * PIECE[BYTES] + 10))
    found = await collected(tap, 0.1)
    chunks = [one for one in found if one]
    assert [(one.direction, len(one.data)) for one in chunks] == [
        ("tx", 8),
        ("rx", PIECE[BYTES]),
        ("rx", PIECE[BYTES]),
        ("rx", 10),
    ]
    assert found[-1] is None  # nothing came any more
    assert tap.lost == 0


async def test_who_has_no_time_loses_bytes_and_holds_no_more() -> None:
    tap: Listening[bytes] = Listening()
    for _ in range(3 * MOST[BYTES] // 1000):
        tap("rx", bytes(1000))
    assert tap.lost >= 2 * MOST[BYTES] - 2000
    assert sum(len(one.data) for one in await collected(tap, 0.2) if one) <= MOST[BYTES]


async def test_others_get_their_turn_between_two_pieces() -> None:
    tap: Listening[bytes] = Listening()
    turns = 0
    tap("rx", bytes(20 * PIECE[BYTES]))

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    count = 0
    async for chunk in tap.pieces(5):
        count += chunk is not None
        if count == 20:
            break
    task.cancel()
    assert turns >= 19


async def test_frames_are_bounded_by_their_number_and_come_in_small_pieces() -> None:
    tap: Listening[Frames] = Listening(medium=FRAMES)
    batch = tuple(Frame(number, True, bytes(8)) for number in range(100))
    tap("tx", batch[:1])
    for _ in range(3 * MOST[FRAMES] // 100):
        tap("rx", batch)
    pieces = [one for one in await collected(tap, 0.3) if one]
    assert pieces[0][1:] == ("tx", batch[:1])
    assert max(len(one.data) for one in pieces) == PIECE[FRAMES]
    got = [frame for one in pieces[1:] for frame in one.data]
    assert got == [*batch] * (len(got) // 100)  # in their order, and of a batch all or nothing
    assert MOST[FRAMES] - 100 <= len(got) <= MOST[FRAMES]
    assert tap.lost == 3 * MOST[FRAMES] // 100 * 100 - len(got)
