"""The links of the program, by the name that the manual's table gives them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from tests.faults.link import Link
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


@asynccontextmanager
async def link_in(name: str, world: World, fault: str) -> AsyncIterator[Link]:
    """A link of that name, set up for a fault."""
    async with AsyncExitStack() as stack:
        await world.inverter.plug()
        link = LINKS[name](world, stack, fault)
        stack.push_async_callback(link.end)
        await link.set_up(present=fault != "absent")
        yield link
