"""``replay``: the whole program, with a capture file in the place of a bus."""

import argparse
import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from jkbms_addon.acquisition import listen
from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.acquisition.contract import Options as Values
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.acquisition.listen import Listener
from jkbms_addon.app import App
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.cli.folder import ENDING, own_folder
from jkbms_addon.cli.run import log_to_stderr, until_signal
from jkbms_addon.doctor import recording
from jkbms_addon.doctor.found import ranges
from jkbms_addon.doctor.recording import Recording
from jkbms_addon.errors import LinkError, OptionsError
from jkbms_addon.link.stream import Link
from jkbms_addon.mqtt.outbox import SETTLING
from jkbms_addon.options.file import Options, parse, read
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.modbus import Message

_LOGGER = logging.getLogger(__name__)
NAME = "replay"
REST = 1.0  # seconds after the last byte, in which what is held is decided; also between two rounds
LAST_WORDS = 15.0  # seconds that the broker may take for what is left
FASTEST = 1000.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a file of the command capture")
    parser.add_argument("--options", type=Path, metavar="FILE", help="options file, of which only mqtt is used")
    parser.add_argument("--mqtt-host", metavar="HOST", help="the broker, before what the options say")
    parser.add_argument("--mqtt-port", type=int, metavar="PORT", help="its port (default: 1883)")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="so many times as fast, 1 to 1000")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    """Publish what a capture holds; 0 when it is over. ``LinkError`` when the broker did not take everything."""
    tape = loaded(args.file)
    if not tape.received:
        raise OptionsError(f"{args.file} holds no received bytes")
    if not 1 <= args.speed <= FASTEST:
        raise OptionsError(f"--speed: must be from 1 to {FASTEST:.0f}")
    options = chosen(args)
    log_to_stderr(options.log_level)
    with own_folder(NAME) as folder, suppress(KeyboardInterrupt):
        asyncio.run(_replay(options, folder, tape, args))
    return 0


def loaded(path: Path) -> Recording:
    """The recording in a file; ``OptionsError`` when it cannot be read or is none."""
    try:
        return recording.read(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise OptionsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionsError(f"{path} is no capture: it is not text") from error


def chosen(args: argparse.Namespace) -> Options:
    """Options without a bus; ``OptionsError`` when nobody said where the broker is."""
    if not args.options and not args.mqtt_host:
        raise OptionsError("replay publishes for real: name the broker with --mqtt-host or --options")
    given = read(args.options) if args.options else Options()
    told = {"host": args.mqtt_host, "port": args.mqtt_port}
    # checked like the options of a file
    checked = parse({"mqtt": {key: value for key, value in told.items() if value is not None}}).mqtt
    mqtt = replace(given.mqtt, **{key: getattr(checked, key) for key, value in told.items() if value is not None})
    if problem := given.mqtt.problem or checked.problem:
        raise OptionsError(problem)
    return Options(given.log_level, (), mqtt, language=given.language)


class Playback(Link):
    """A link on which recorded bytes arrive, ``speed`` times as fast as they did.

    ``now`` is the time of the recording in seconds of the monotonic clock: with it everything is decided as it
    would have been then, at any speed. What was sent is shown to ``tap`` alone.
    """

    def __init__(self, tape: Recording, speed: float = 1.0, *, loop: bool = False) -> None:
        super().__init__(str(tape.header.get("target", NAME)))
        self._chunks, self._speed, self._loop = tape.chunks, speed, loop
        self._next = 0
        self._began = self._origin = self.now = time.monotonic()
        self.finished = asyncio.Event()

    def clock(self) -> float:
        """The time of the recording."""
        return self.now

    async def read(self, timeout: float) -> bytes:  # noqa: ASYNC109
        """The next received bytes, if they come within ``timeout`` seconds of the recording."""
        limit = self.now + timeout
        while self._next < len(self._chunks):
            chunk = self._chunks[self._next]
            if self._origin + chunk.seconds > limit:
                break
            await self._until(self._origin + chunk.seconds)
            self._next += 1
            for tap in self.taps:
                tap(chunk.direction, chunk.data)
            if chunk.direction == "rx":
                self.received += len(chunk.data)
                return chunk.data
        await self._until(limit)
        if self._next == len(self._chunks) and self.now >= self._origin + self._chunks[-1].seconds + REST:
            self._over()
        return b""

    async def _until(self, moment: float) -> None:
        self.now = max(self.now, moment)
        early = (self.now - self._began) / self._speed - (time.monotonic() - self._began)
        await asyncio.sleep(max(0.0, early))

    def _over(self) -> None:
        if self._loop:
            self._next, self._origin = 0, self.now
        elif not self.finished.is_set():
            self.finished.set()
            # from here on time goes by as it does
            self._began, self.now, self._speed = time.monotonic(), time.monotonic(), 1.0


class Replayed:
    """The listener of a playback; questions that were sent are known to it, so that answers have a sender."""

    def __init__(self, link: Playback, status: BusStatus) -> None:
        self._status = status
        self._listener = Listener(link, status, tcp=not link.name.startswith("/"), clock=link.clock)
        self._link = link
        link.taps.append(self._tapped)

    @property
    def intake(self) -> Intake:
        """As the listener's."""
        return self._listener.intake

    async def poll(self) -> Sequence[Reading]:
        """As the listener."""
        readings = await self._listener.poll()
        now = time.monotonic()
        for bms in self._status.batteries.values():
            # a fast recording is ahead of the clock that ages are told by
            bms.last_frame = None if bms.last_frame is None else min(bms.last_frame, now)
        return readings

    def _tapped(self, direction: str, data: bytes) -> None:
        sent = modbus.recognise(data) if direction == "tx" else 0
        if isinstance(sent, Message) and sent.kind == "request" and sent.register is not None:
            self._listener.asked(sent.address, sent.register, self._link.now)


@asynccontextmanager
async def _opened(playback: Playback, _values: Values, status: BusStatus) -> AsyncIterator[Replayed]:
    yield Replayed(playback, status)


def bus(playback: Playback) -> BusOptions:
    """The recording as a bus."""
    plugin = replace(listen.PLUGIN, open=partial(_opened, playback))
    return BusOptions(NAME, NAME, {}, plugin, target=playback.name)


class Replay(App):
    """The app until a recording is over and the broker has everything."""

    def __init__(self, options: Options, data: Path, playback: Playback) -> None:
        super().__init__(replace(options, buses=(bus(playback),)), data)
        self._playback = playback
        self.failed = False

    async def run(self) -> None:
        """Run until the end."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(super().run())
            await self._playback.finished.wait()
            self.failed = not await self._all_sent()
            running.cancel()

    async def _all_sent(self) -> bool:
        end = time.monotonic()
        while self.outbox.sent < end + SETTLING:
            if time.monotonic() > end + LAST_WORDS:
                return False
            await asyncio.sleep(0.05)
        return True


async def _replay(options: Options, folder: Path, tape: Recording, args: argparse.Namespace) -> None:
    app = Replay(options, folder, Playback(tape, args.speed, loop=args.loop))
    await until_signal(app, ENDING)
    status = app.buses[NAME]
    found = ranges(snapshot.address for snapshot in app.store) or "none"
    _LOGGER.info("%s: BMSs heard: %s; %d frames, %d bytes", args.file, found, status.frames, status.bytes)
    if app.failed:
        raise LinkError(f"the MQTT broker {options.mqtt.host or 'of Home Assistant'} did not take everything")
