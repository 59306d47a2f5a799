"""What the Bluetooth library has no words for: who is heard, pairing with a PIN, forgetting a unit. BlueZ over D-Bus.

An agent of our own answers BlueZ's question for the passkey, for this one pairing and through a connection of its own,
so that no other program's pairing is touched. Measured on real BlueZ (specification of Bluetooth, chapter 9).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bleak.exc import BleakDBusError
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

BLUEZ: Final = "org.bluez"
DEVICE: Final = "org.bluez.Device1"
AGENT: Final = "/org/jkbms/agent"
PAIR: Final = 20.0  # s; a unit may show the request to its owner
CALL: Final = 5.0  # s


async def present(adapter: str) -> dict[str, dict[str, Any]]:
    """Properties of the units that BlueZ hears now, by their D-Bus path; ``adapter`` is empty for any.

    While another program scans all the time BlueZ tells nothing of a unit that stays as loud as it was: ask it.
    """
    async with _bus() as bus:
        objects = (await _call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))[0]
    found = {path: unpacked(interfaces[DEVICE]) for path, interfaces in objects.items() if DEVICE in interfaces}
    return {
        path: device
        for path, device in found.items()
        if "RSSI" in device and path.startswith(f"/org/bluez/{adapter or 'hci'}")
    }


def unpacked(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties without their D-Bus types."""
    return {name: variant.value for name, variant in properties.items()}


async def paired(path: str, pin: str) -> None:
    """Make sure that the unit at a D-Bus path is bonded. Raises what D-Bus and BlueZ raise."""
    async with _bus() as bus:
        if await _property(bus, path, "Paired"):
            return
        bus.export(AGENT, Agent(int(pin)))
        await _call(
            bus,
            "/org/bluez",
            "org.bluez.AgentManager1",
            "RegisterAgent",
            "os",
            (AGENT, "KeyboardOnly"),
        )
        await _call(bus, path, DEVICE, "Pair", seconds=PAIR)


async def released(path: str) -> None:
    """Let a unit go, or give a connection up that is being made. Raises what D-Bus and BlueZ raise."""
    async with _bus() as bus:
        await _call(bus, path, DEVICE, "Disconnect")


async def forgotten(path: str, *, bonds: bool) -> None:
    """Let BlueZ forget what it knows of a unit, as that may be stale; a bond only with ``bonds``."""
    async with _bus() as bus:
        if bonds or not await _property(bus, path, "Paired"):
            await _call(bus, path.rpartition("/")[0], "org.bluez.Adapter1", "RemoveDevice", "o", (path,))


@asynccontextmanager
async def _bus() -> AsyncIterator[MessageBus]:
    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        async with asyncio.timeout(CALL):
            await bus.connect()
        yield bus
    finally:
        bus.disconnect()
        with suppress(TimeoutError, OSError, EOFError):
            async with asyncio.timeout(1):
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


async def _property(bus: MessageBus, path: str, name: str) -> object:
    body = await _call(bus, path, "org.freedesktop.DBus.Properties", "Get", "ss", (DEVICE, name))
    return body[0].value


async def _call(
    bus: MessageBus,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: Sequence[object] = (),
    seconds: float = CALL,
) -> list[Any]:
    message = Message(
        destination=BLUEZ, path=path, interface=interface, member=member, signature=signature, body=list(body)
    )
    async with asyncio.timeout(seconds):
        answer = await bus.call(message)
    if answer is None or answer.message_type is MessageType.ERROR:
        name = answer.error_name if answer else None
        raise BleakDBusError(name or "org.freedesktop.DBus.Error.NoReply", answer.body if answer else [])
    found: list[Any] = answer.body
    return found


class Agent(ServiceInterface):
    """What BlueZ asks; the names are BlueZ's."""

    def __init__(self, passkey: int) -> None:
        super().__init__("org.bluez.Agent1")
        self._passkey = passkey

    @dbus_method()
    def Release(self) -> None:  # noqa: N802
        """Nothing to clean up."""

    @dbus_method()
    def RequestPasskey(self, device: DBusObjectPath) -> DBusUInt32:  # noqa: ARG002, N802
        """The PIN as a number."""
        return self._passkey

    @dbus_method()
    def Cancel(self) -> None:  # noqa: N802
        """BlueZ gave up, which the call tells, too."""
