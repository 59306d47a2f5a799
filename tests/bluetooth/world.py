"""A virtual radio: adapters that the kernel takes for real ones, and simulated BMSs in their range.

``python -m tests.bluetooth.world SOCKET`` needs ``/dev/vhci`` and root. The socket takes JSON lines such as
``["drop", "A"]`` and answers each with one. Bumble plays the controllers; two of its habits are corrected here.
"""

import asyncio
import json
import struct
import sys
from dataclasses import replace
from typing import Any

from bumble.controller import Controller
from bumble.core import AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address, HCI_LE_Advertising_Report_Event, LeFeatureMask, OwnAddressType
from bumble.host import Host
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink

from jkbms_addon.simulator.ble import LIVE_FRAME, BleUnit
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import commands
from tests.bluetooth.air import STRANGER, UNITS, InAir

PUBLIC = Address.PUBLIC_DEVICE_ADDRESS
LOUD = {row.address: row.rssi for row in UNITS.values()}  # dBm
PATIENCE = 8.0  # s after which a unit that wants pairing hangs up; an emulated machine is slow


class Radio(LocalLink):
    """The air. Bumble names a sender by its address of the moment, which Linux changes while a connection lasts."""

    def send_acl_data(self, sender_controller: Any, destination_address: Any, transport: Any, data: bytes) -> None:
        far = self.find_le_controller(destination_address)
        near = sender_controller.le_connections.get(destination_address)
        if far is not None and near is not None:
            asyncio.get_running_loop().call_soon(far.on_link_acl_data, near.self_address, transport, data)


class Adapter(Controller):
    """An adapter. Bumble repeats the advertisement in place of the scan response, and is equally loud everywhere."""

    def send_hci_packet(self, packet: Any) -> None:
        if isinstance(packet, HCI_LE_Advertising_Report_Event):
            (report,) = packet.reports
            far = next((one for one in self.link.controllers if one.public_address == report.address), None)
            answers = report.event_type == HCI_LE_Advertising_Report_Event.EventType.SCAN_RSP
            data = report.data
            if far and answers:
                data = next((bytes(one.scan_response_data) for one in far.advertising_sets.values()), b"")
            report = replace(report, data=data, rssi=LOUD.get(str(report.address).partition("/")[0], report.rssi))
            packet = HCI_LE_Advertising_Report_Event([report])
        super().send_hci_packet(packet)


class Passkey(PairingDelegate):
    """A unit with a PIN that cannot be changed."""

    def __init__(self, pin: int) -> None:
        super().__init__(io_capability=PairingDelegate.DISPLAY_OUTPUT_ONLY)
        self._pin = pin

    async def generate_passkey(self) -> int:
        return self._pin

    async def display_number(self, number: int, digits: int) -> None:
        """It is printed on the label."""


class OnAir:
    """A simulated BMS as a peripheral. ``two``: its module has two characteristics FFE1, one for each direction."""

    def __init__(self, radio: Radio, row: InAir, unit: BleUnit) -> None:
        address, pin = row.address, row.pin
        self.unit, self.pin, self.two, self.name = unit, pin, row.two, row.name
        self.connection: Connection | None = None
        self.subscribed, self.present = False, True
        self._address, self._out = Address(address, PUBLIC), asyncio.Queue[bytes]()
        self._tasks: set[asyncio.Task[None]] = set()
        self.controller = Controller(address, link=radio, public_address=self._address)
        host = Host()
        host.controller = self.controller
        self.controller.host = AsyncPipeSink(host)
        host.set_packet_sink(AsyncPipeSink(self.controller))
        config = DeviceConfiguration(name=address, address=self._address, le_enabled=True, classic_enabled=False)
        self.device = Device(config=config, host=host)
        self.controller.random_address = self._address
        if pin is not None:
            delegate = Passkey(pin)
            self.device.pairing_config_factory = lambda _connection: PairingConfig(
                sc=True, mitm=True, bonding=True, delegate=delegate
            )
        self._services()
        self.device.on("connection", self._connected)

    def _services(self) -> None:
        can, may = Characteristic.Properties, Characteristic.Permissions
        write = CharacteristicValue(write=self._written)
        allowed = may.WRITEABLE if self.pin is None else may.WRITEABLE | may.WRITE_REQUIRES_ENCRYPTION
        commanding = can.WRITE | can.WRITE_WITHOUT_RESPONSE
        if self.two:
            self.port = Characteristic[Any]("FFE1", can.NOTIFY | can.READ, may.READABLE, b"\0")
            ports = [Characteristic[Any]("FFE1", commanding, allowed, write), self.port]
        else:
            deaf = CharacteristicValue(write=lambda *_: None)
            self.port = Characteristic[Any]("FFE1", commanding | can.NOTIFY, allowed, write)
            ports = [Characteristic[Any]("FFE2", can.WRITE_WITHOUT_RESPONSE, may.WRITEABLE, deaf), self.port]
        self.device.add_services([Service("FFE0", ports)])
        self.device.gatt_server.max_mtu = self.unit.mtu
        self.port.on("subscription", self._subscription)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def start(self) -> None:
        await self.device.power_on()
        self._spawn(self._pump())
        self._spawn(self._stream())
        self._spawn(self._beat())
        await self._advertise()

    async def _advertise(self) -> None:
        if not self.present or self.connection or self.device.is_advertising:
            return
        company = 0x0059 if str(self._address).startswith(STRANGER) else 0x0B65
        made = struct.pack("<H", company) + bytes.fromhex("88a0") + bytes(self._address)[::-1]
        data = AdvertisingData(
            [
                (AdvertisingData.FLAGS, b"\5"),
                (AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, bytes.fromhex("e0ffe7fe")),
                (AdvertisingData.MANUFACTURER_SPECIFIC_DATA, made),
            ]
        )
        await self.device.start_advertising(
            advertising_data=bytes(data),
            scan_response_data=bytes(AdvertisingData([(AdvertisingData.COMPLETE_LOCAL_NAME, self.name.encode())])),
            auto_restart=False,
            own_address_type=OwnAddressType.PUBLIC,
            advertising_interval_min=100,
            advertising_interval_max=100,
        )

    def _connected(self, connection: Connection) -> None:
        self.connection = connection
        connection.on("disconnection", self._gone)
        if self.pin is not None:
            self._spawn(self._demand(connection))

    async def _demand(self, connection: Connection) -> None:
        self.device.request_pairing(connection)
        await asyncio.sleep(PATIENCE)
        if self.connection is connection and not connection.is_encrypted:
            await connection.disconnect()

    def _gone(self, _reason: object) -> None:
        self.connection, self.subscribed, self.unit.streaming = None, False, False
        while not self._out.empty():
            self._out.get_nowait()
        self._spawn(self._again())

    async def _again(self) -> None:
        await asyncio.sleep(0.05)
        await self._advertise()

    def _subscription(self, _connection: object, notify: bool, _indicate: bool) -> None:
        self.subscribed = notify

    def _written(self, _connection: object, value: bytes) -> None:
        for said in self.unit.answers(bytes(value)):
            self._say(said)

    def _say(self, said: bytes) -> None:
        if not self.unit.silent and self._out.qsize() < 64:
            for piece in self.unit.pieces(said):
                self._out.put_nowait(piece)

    async def _stream(self) -> None:
        while True:
            await asyncio.sleep(self.unit.period)
            if self.unit.streaming:
                self.unit.counter += 1
                self._say(self.unit.frame(LIVE_FRAME))

    async def _beat(self) -> None:
        while self.unit.beat:
            await asyncio.sleep(self.unit.beat)
            if self.connection and not self.unit.silent:
                self._out.put_nowait(commands.HEARTBEAT)

    async def _pump(self) -> None:
        while True:
            piece = await self._out.get()
            connection = self.connection
            if connection is None or not self.subscribed:
                continue
            for at in range(0, len(piece), connection.att_mtu - 3):
                part = piece[at : at + connection.att_mtu - 3]
                try:
                    await self.device.gatt_server.notify_subscriber(connection, self.port, part)
                except Exception as error:  # noqa: BLE001 - whatever the stack thinks of a link that just went
                    print("notify:", repr(error), file=sys.stderr)

    # what a test may ask for
    async def do_state(self) -> dict[str, Any]:
        asked = [one.hex() for one in self.unit.asked]
        mtu = self.connection.att_mtu if self.connection else None
        return {
            "connected": self.connection is not None,
            "mtu": mtu,
            "asked": asked,
            "settings": self.unit.bms.settings,
        }

    async def do_drop(self) -> None:
        """It hangs up, and can be found again."""
        if self.connection:
            await self.connection.disconnect()

    async def do_vanish(self) -> None:
        """It hangs up and is not heard any more."""
        self.present = False
        await self.do_drop()
        if self.device.is_advertising:
            await self.device.stop_advertising()

    async def do_return(self) -> None:
        self.present = True
        await self._advertise()

    async def do_revive(self) -> None:
        """The other side was pulled: end the connection that nobody ended."""
        if self.connection:
            for peer in list(self.controller.le_connections.values()):
                self.controller.on_le_disconnected(peer, 0x08)

    async def do_set(self, key: str, value: Any) -> None:
        setattr(self.unit, key, value)
        if key == "mtu":
            self.device.gatt_server.max_mtu = value

    async def do_bms(self, key: str, value: Any) -> None:
        setattr(self.unit.bms, key, value)


class Air:
    """All adapters and units."""

    def __init__(self) -> None:
        self.radio = Radio()  # type: ignore[no-untyped-call]
        self._adapters: list[tuple[Controller, Any]] = []
        self.units: dict[str, OnAir] = {}

    async def start(self) -> None:
        await self.plug()
        for name, row in {**UNITS, "Z": InAir(STRANGER, name="JUNCTEK")}.items():
            bms = SimulatedBms(1, serial_number=f"4071200000{name}", cells=row.cells, current=5.0)
            unit = BleUnit(bms, row.layout, row.mtu, beat=row.beat, second=row.second)
            self.units[name] = OnAir(self.radio, row, unit)
            await self.units[name].start()

    async def plug(self) -> None:
        """One more adapter: the kernel sees it as the next free hciN."""
        transport = await open_transport("vhci")
        number = len(self._adapters)
        address = Address(f"00:AA:01:00:00:{number:02X}", PUBLIC)
        controller = Adapter(f"hci{number}", transport.source, transport.sink, self.radio, address)
        # bumble claims these, yet reports connections with the plain event; Linux waits for the other and gives up
        controller.le_features &= ~(
            LeFeatureMask.LL_PRIVACY | LeFeatureMask.LE_EXTENDED_ADVERTISING | LeFeatureMask.LE_PERIODIC_ADVERTISING
        )
        self._adapters.append((controller, transport))

    async def unplug(self) -> None:
        controller, transport = self._adapters[-1]
        self.radio.remove_controller(controller)
        await transport.close()

    async def do(self, verb: str, name: str = "", *rest: Any) -> Any:
        if verb in ("plug", "unplug"):
            return await getattr(self, verb)()
        return await getattr(self.units[name], f"do_{verb}")(*rest)


async def main(socket: str) -> None:
    air = Air()
    await air.start()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                answer = {"ok": await air.do(*json.loads(line))}
            except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
                answer = {"error": repr(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, socket)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
