"""Owner of the broker: announces, publishes, hears when Home Assistant starts."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from errno import EBADF
from secrets import token_hex
from typing import Any

import aiomqtt

from jkbms_addon.battery.store import Store
from jkbms_addon.errors import LinkError
from jkbms_addon.mqtt.broker import Access
from jkbms_addon.mqtt.outbox import Message, Outbox

_LOGGER = logging.getLogger(__name__)
logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # what the library logs it also raises
ACK_TIMEOUT = 3.0  # seconds for the broker's acknowledgement; its absence is how a frozen broker is noticed
KEEPALIVE = 20
MAX_COMMAND = 256  # characters of a command that are looked at
TICK = 1.0  # seconds; silence of a battery is noticed without news
FAREWELL = 1.0  # seconds for the last words


class Broker:
    """One connection at a time; ``own`` runs until it is lost.

    ``command`` gets topic, text and retained flag of whatever is published on a ``.../set`` topic of ours.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        access: Callable[[], Awaitable[Access]],
        save: Callable[[Outbox], None],
        healed: Callable[[], None],
        command: Callable[[str, str, bool], None] = lambda _topic, _payload, _retained: None,
    ) -> None:
        self._store, self._outbox, self._command = store, outbox, command
        self._access, self._save, self._healed = access, save, healed
        self.connected = False
        # the same for all connections: a try that a slow broker accepts too late must not live on, with its will,
        # beside the one that came after it
        self._identifier = f"jkbms-{token_hex(8)}"

    async def own(self) -> None:
        """Connect, publish and listen until the connection is lost (``LinkError``)."""
        access = await self._access()
        topics, heed = self._outbox.topics, _heeding()
        try:
            async with aiomqtt.Client(
                access.host,
                access.port,
                identifier=self._identifier,
                username=access.username or None,
                password=access.password or None,
                tls_context=_tls(access),
                will=aiomqtt.Will(topics.bridge_state, "offline", qos=1, retain=True),
                keepalive=KEEPALIVE,
                timeout=ACK_TIMEOUT,
                max_queued_incoming_messages=256,
            ) as client:
                await self._serve(client, heed)
        # the errors of the inner tasks come as a group
        except* (aiomqtt.MqttError, OSError) as errors:
            raise LinkError(f"MQTT broker {access.host}:{access.port}: {_reason(errors)}") from errors
        finally:
            self.connected = False

    async def _serve(self, client: aiomqtt.Client, heed: Callable[[], None]) -> None:
        topics = self._outbox.topics
        await client.publish(topics.bridge_state, "online", qos=1, retain=True)
        await client.subscribe(topics.birth, qos=1)
        for pattern in topics.commands:
            await client.subscribe(pattern, qos=1)
        self.connected = True
        self._healed()
        try:
            heed()
            # inside the client's block, so that both end before it does
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish(client))
                tasks.create_task(self._listen(client))
        except asyncio.CancelledError:
            with suppress(aiomqtt.MqttError):
                await client.publish(topics.bridge_state, "offline", qos=1, retain=True, timeout=FAREWELL)
            raise

    async def _publish(self, client: aiomqtt.Client) -> None:
        heed = _heeding()
        self._outbox.forget()
        while True:
            self._store.changed.clear()
            now = self._store.clock()
            for message in self._outbox.due(now):
                await self._send(client, message)
                heed()
            self._outbox.sent = now
            if self._outbox.changed:
                self._outbox.changed = False
                self._save(self._outbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._store.changed.wait()

    async def _send(self, client: aiomqtt.Client, message: Message) -> None:
        await client.publish(message.topic, message.payload, qos=1, retain=message.retain)

    async def _listen(self, client: aiomqtt.Client) -> None:
        # no time limit around the iterator: cancelling it can lose a message
        async for message in client.messages:
            topic, payload = str(message.topic), message.payload
            if topic == self._outbox.topics.birth:
                if payload == b"online":
                    _LOGGER.debug("Home Assistant has started: publishing everything again")
                    self._outbox.forget()
                    self._store.changed.set()
                continue
            text = payload.decode("utf-8", "replace") if isinstance(payload, (bytes, bytearray)) else ""
            self._command(topic, text[:MAX_COMMAND], message.retain)
            self._store.changed.set()


def leftover(context: Mapping[str, Any]) -> bool:
    """Whether a complaint of the event loop is about a connection that is over, which was told of already.

    The library leaves futures whose failure nobody asks for, and still wants to write to sockets that are closed.
    """
    error, message = context.get("exception"), str(context.get("message", ""))
    if isinstance(error, aiomqtt.MqttError):
        return message.startswith("Future exception was never retrieved")
    closed = isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno == EBADF)
    return closed and "EventLoop.add_" in message and "<function Cli" in message


def _heeding() -> Callable[[], None]:
    """A check that raises ``CancelledError`` when this task was cancelled since, although nobody was told.

    The library waits with ``wait_for``, which on Python 3.11 swallows a cancellation that comes together with the
    broker's answer; the program would never end.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()

    def heed() -> None:
        if task.cancelling() > before:
            raise asyncio.CancelledError

    return heed


def _tls(access: Access) -> ssl.SSLContext | None:
    if not access.tls:
        return None
    try:
        return ssl.create_default_context(cafile=access.ca_file or None)
    except OSError as error:
        raise LinkError(f"mqtt.ca_file {access.ca_file} cannot be read: {error.strerror or error}") from error


def _reason(errors: BaseExceptionGroup[Exception]) -> str:
    """The broker's words, without a password in any form."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error)
    if "Not authorized" in text or "Bad user name" in text:
        return "refuses user name or password"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text or type(error).__name__
