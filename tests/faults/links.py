"""The links of the program, by the name that the manual's table gives them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.faults.link import NO_NAMES, Link
from tests.faults.services import Mqtt, Supervisor
from tests.faults.wires import CanIn, CanOut, Serial, Tcp
from tests.faults.world import World

LINKS: Mapping[str, type[Link]] = {
    "serial": Serial,
    "TCP": Tcp,
    "CAN in": CanIn,
    "CAN out": CanOut,
    "MQTT": Mqtt,
    "Supervisor": Supervisor,
}


def gateways(count: int) -> list[dict[str, Any]]:
    """Buses whose gateways are given by name, and are not there."""
    return [
        {"name": f"gw{n}", "strategy": "gateway", "host": f"gateway{n}.test", "tcp_port": 9, "addresses": "1"}
        for n in range(count)
    ]


@asynccontextmanager
async def link_in(name: str, world: World, fault: str) -> AsyncIterator[Link]:
    """A link of that name, set up for a fault."""
    async with AsyncExitStack() as stack:
        await world.inverter.plug()
        if fault == NO_NAMES:
            world.program = ["tests.faults.stuck", str(world.folder)]
            world.more = gateways(8)
        link = LINKS[name](world, stack, fault)
        stack.push_async_callback(link.end)
        await link.set_up(present=fault != "absent")
        yield link
