"""``python -m tests.page.hammer PORT``: twelve clients that ask for more than they may."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

CLIENTS = 12
COLUMNS = ["power", "soc", "mean_cell", *(f"cell_{n}" for n in range(1, 17))]


async def client(port: int, number: int) -> None:
    """Ask without a pause; every fourth client never reads; when thrown out, come again."""
    url, origin = f"ws://127.0.0.1:{port}/live", Origin(f"http://127.0.0.1:{port}")
    while True:
        try:
            async with connect(url, origin=origin, max_size=None) as socket:
                await socket.send('{"t":"hello"}')
                for n in range(200):
                    ask = {"t": "history", "id": n, "of": "garage/1", "tier": 900, "cols": COLUMNS}
                    await socket.send(json.dumps(ask))
                    if number % 4:
                        await socket.recv()
        except (ConnectionClosed, OSError):
            await asyncio.sleep(0.05)


async def main() -> None:
    """Until killed."""
    print("go", flush=True)
    await asyncio.gather(*(client(int(sys.argv[1]), number) for number in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main())
