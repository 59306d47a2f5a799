"""``demo``: the main job without hardware.

Simulated BMSs answer behind a real pty, the real acquisition polls them, a real broker carries the
messages, and the terminal shows both ends.
"""

import argparse
import asyncio
import json
import logging
import shutil
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiomqtt

from jkbms_addon.app import App
from jkbms_addon.cli.folder import ENDING, own_folder
from jkbms_addon.cli.run import log_to_stderr
from jkbms_addon.doctor.log import NEWEST
from jkbms_addon.errors import OptionsError
from jkbms_addon.options.file import Options, parse
from jkbms_addon.page.place import PageOptions
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms

FIRST_PORT = 18830
FIRST_PAGE = 18080
# one bank; the second has a cell that lags behind, which is worth a look after a minute
BATTERIES = (
    SimulatedBms(1, soc=55, errors=0, serial_number="40119491480"),
    SimulatedBms(2, soc=57, errors=0, serial_number="40119491481", temperature=22.5, offsets={11: -0.042, 4: 0.004}),
    SimulatedBms(3, soc=56, errors=0, serial_number="40119491482", temperature=20.5, offsets={2: 0.003}),
)
# ends the broker as soon as nobody holds the other end of its input any more, however the demo ended; more than once,
# as one that is just starting loses the first request
GUARD = (
    'exec 3<&0; (read -r _ <&3; for n in TERM TERM TERM KILL; do kill -s $n $$ && sleep 1; done) & exec "$0" -c "$1"'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--seconds", type=float, default=None, metavar="N", help="end after N seconds")
    parser.add_argument("--host", default="127.0.0.1", help="address of broker and page (default: %(default)s)")
    parser.add_argument("--port", type=int, default=None, help=f"its port (default: the first free from {FIRST_PORT})")
    parser.add_argument("--page", type=int, default=None, help=f"of the page (default: first free from {FIRST_PAGE})")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between rounds (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Run until interrupted or until the time is over."""
    log_to_stderr("warning")
    NEWEST.keep()
    unread = False
    try:
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(_demo(args))
    except* BrokenPipeError:
        unread = True
    if unread:
        raise BrokenPipeError  # alone, for who runs the command
    return 0


async def _demo(args: argparse.Namespace) -> None:
    main = asyncio.current_task()
    assert main is not None
    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, main.cancel)
    port, page = args.port or free_port(args.host), args.page or free_port(args.host, FIRST_PAGE)
    with own_folder("demo") as folder:
        async with broker(args.host, port, folder), serial_bus(list(BATTERIES)) as bus:
            file = folder / "options.json"
            options = _options(file, bus.port, args.interval, (args.host, port))
            # nothing here is worth a token: the batteries are simulated
            app = App(replace(options, page=PageOptions(page, host=args.host)), folder, file)
            view = View(app, bus.port, args.host, port, page)
            with suppress(TimeoutError):
                async with asyncio.timeout(args.seconds), asyncio.TaskGroup() as tasks:
                    tasks.create_task(app.run())
                    tasks.create_task(view.listen())
                    tasks.create_task(view.show())
            view.summary()


def _options(file: Path, serial: str, interval: float, broker: tuple[str, int]) -> Options:
    """What somebody with these batteries would write, in a file for the page of options."""
    host, port = broker
    bus = {"name": "demo", "strategy": "master", "port": serial, "addresses": "1-3", "interval": interval}
    mqtt = {"host": host if host != "0.0.0.0" else "127.0.0.1", "port": port}  # noqa: S104
    content = {"buses": [bus], "mqtt": mqtt}
    file.write_text(json.dumps(content), encoding="utf-8")
    return parse(content)


def free_port(host: str, first: int = FIRST_PORT) -> int:
    """The first port from ``first`` on that nobody listens on."""
    for port in range(first, first + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((host, port))
                return port
    raise OptionsError(f"no free port from {first} on")


@asynccontextmanager
async def broker(host: str, port: int, folder: Path) -> AsyncIterator[None]:
    """Mosquitto where it is installed, else the embedded one; ready when the block begins."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    running = _mosquitto(program, host, port, folder) if program else _amqtt(host, port)
    async with running:
        await _reachable(host, port)
        yield


@asynccontextmanager
async def _mosquitto(program: str, host: str, port: int, folder: Path) -> AsyncIterator[None]:
    conf = folder / "mosquitto.conf"
    await asyncio.to_thread(conf.write_text, f"listener {port} {host}\nallow_anonymous true\n")
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *("sh", "-c", GUARD, program, str(conf)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal is meant for us
        )
    )
    try:
        await asyncio.shield(starting)  # one that is cancelled while it starts may never be told to have ended
        yield
    finally:
        process = await starting
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _amqtt(host: str, port: int) -> AsyncIterator[None]:
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - only where mosquitto is missing
    except ImportError as error:
        raise OptionsError(
            "the demo needs a broker: install mosquitto, or pip install 'jkbms-addon[broker]'"
        ) from error
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    server = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await server.start()
    try:
        yield
    finally:
        await server.shutdown()


async def _reachable(host: str, port: int) -> None:
    for _ in range(100):
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host if host != "0.0.0.0" else "127.0.0.1", port)  # noqa: S104
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
    raise OptionsError(f"the broker does not listen on {host}:{port}")


class View:
    """The terminal: batteries as the bank knows them, and what a subscriber hears from the broker."""

    def __init__(self, app: App, pty: str, host: str, port: int, page: int) -> None:
        self._app, self._pty, self._host, self._port, self._page = app, pty, host, port, page
        self._heard: deque[str] = deque(maxlen=8)
        self._count = 0
        self._started = time.monotonic()

    async def listen(self) -> None:
        """Subscribe like any other program would."""
        host = self._host if self._host != "0.0.0.0" else "127.0.0.1"  # noqa: S104
        async with aiomqtt.Client(host, self._port, max_queued_incoming_messages=512) as client:
            await client.subscribe("jkbms/#")
            await client.subscribe("homeassistant/device/#")
            async for message in client.messages:
                self._count += 1
                payload = message.payload.decode() if isinstance(message.payload, bytes) else str(message.payload)
                self._heard.append(f"{message.topic}  {payload[:90]}{'…' if len(payload) > 90 else ''}")

    async def show(self) -> None:
        """Draw once a second; plain lines where the output is no terminal."""
        live = sys.stdout.isatty()
        while True:
            await asyncio.sleep(1 if live else 2)
            lines = self.lines()
            print("\033[H\033[2J" * live + "\n".join(lines), flush=True)

    def lines(self) -> list[str]:
        """What the screen holds."""
        now = self._app.store.clock()
        bus = self._app.buses["demo"]
        state = "connected" if bus.connected else bus.problem
        lines = [
            (
                f"JK BMS demo · {time.monotonic() - self._started:.0f} s · simulated BMSs on {self._pty} · "
                f"broker {self._host}:{self._port} · Ctrl-C ends"
            ),
            f"The page:       http://{self._host if self._host != '0.0.0.0' else '127.0.0.1'}:{self._page}/",  # noqa: S104
            f"Home Assistant: MQTT integration, broker {self._host}, port {self._port}",
            f"Any terminal:   mosquitto_sub -h {self._host} -p {self._port} -v -t 'jkbms/#'",
            "",
            HEADLINE,
        ]
        lines += [battery_line(one.address, one.values(now), one.age(now)) for one in self._app.store]
        lines += [
            "",
            (
                f"bus demo: {state}, {bus.frames} frames, {bus.bytes} bytes, {bus.checksum_errors} checksum errors, "
                f"{bus.timeouts} time-outs · {self._count} MQTT messages heard:"
            ),
            *(f"  {line}" for line in self._heard),
        ]
        return lines

    def summary(self) -> None:
        """Last words."""
        bus = self._app.buses["demo"]
        found = ", ".join(str(snapshot.address) for snapshot in self._app.store) or "none"
        print(
            json.dumps(
                {"batteries": found, "frames": bus.frames, "checksum_errors": bus.checksum_errors, "mqtt": self._count}
            )
        )


COLUMNS = (
    ("SOC", 6, "state_of_charge", "%", 0),
    ("voltage", 9, "total_voltage", "V", 2),
    ("current", 9, "current", "A", 1),
    ("power", 9, "power", "W", 0),
    ("min cell", 9, "min_cell_voltage", "V", 3),
    ("max cell", 9, "max_cell_voltage", "V", 3),
    ("delta", 8, "delta_cell_voltage", "V", 3),
    ("MOS", 8, "mosfet_temperature", "°C", 1),
)
HEADLINE = " BMS" + "".join(f"{name:>{width}}" for name, width, *_ in COLUMNS) + " cells    age  alarms"


def battery_line(address: int, values: Mapping[str, object], age: float | None) -> str:
    """One battery on one line; a dash where nothing is known."""
    line = f"{address:>4}"
    for _, width, key, unit, digits in COLUMNS:
        value = values.get(key)
        line += f"{f'{value:.{digits}f} {unit}' if isinstance(value, (int, float)) else '-':>{width}}"
    cells, alarms = values.get("cell_voltage"), values.get("alarms")
    raised = ", ".join(alarms) if isinstance(alarms, tuple) and alarms else "none"
    count = len(cells) if isinstance(cells, tuple) else "-"
    return f"{line}{count:>6}{f'{age:.1f} s' if age is not None else '-':>7}  {raised}"
