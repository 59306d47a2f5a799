"""One connection to a broker that tells what the broker refuses; the library alone keeps that to itself.

MQTT 5 is spoken where the broker knows it, as only there it says why something was refused.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import aiomqtt

V5: Final = aiomqtt.ProtocolVersion.V5
V3: Final = aiomqtt.ProtocolVersion.V311
REFUSED: Final = 128  # this and larger numbers of an acknowledgement are refusals
UNKNOWN_VERSION: Final = (1, 132)  # reasons of brokers that do not speak MQTT 5
WAITING: Final = 256  # messages that may wait to be looked at


class Inbox(asyncio.Queue[aiomqtt.Message]):
    """Messages that wait. Those that come ``first`` are never pushed out: the latest of each topic stays.

    Of all others at most ``WAITING``; what does not fit is ``dropped`` and counted.
    """

    def __init__(self, first: Callable[[str, bool], bool]) -> None:
        self._comes_first, self._first = first, dict[str, aiomqtt.Message]()
        self._others: deque[aiomqtt.Message] = deque()
        self.dropped = 0
        super().__init__()

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Take a message in, whatever waits already."""
        topic = str(item.topic)
        if self._comes_first(topic, item.retain):
            known = self._first.pop(topic, None)  # the order of the latest counts
            self._first[topic] = item
            if known is not None:
                return
        elif len(self._others) >= WAITING:
            self.dropped += 1
            return
        super().put_nowait(item)

    def qsize(self) -> int:
        """How many wait."""
        return len(self._first) + len(self._others)

    def empty(self) -> bool:
        """Whether none waits."""
        return not self.qsize()

    def _put(self, item: aiomqtt.Message) -> None:
        if self._first.get(str(item.topic)) is not item:
            self._others.append(item)

    def _get(self) -> aiomqtt.Message:
        if self._first:
            return self._first.pop(next(iter(self._first)))
        return self._others.popleft()


class Session(aiomqtt.Client):
    """A client of the library that keeps what the broker said to refuse something.

    ``first`` tells by topic and retained flag which messages a flood of others must not push out.
    ``refusal`` is about the latest publication, ``lost`` why the broker ended the connection, ``largest`` the size
    of a message in bytes that it takes.
    """

    def __init__(self, host: str, port: int, *, first: Callable[[str, bool], bool], **options: Any) -> None:  # noqa: ANN401 - the library's
        self.inbox = Inbox(first)
        self.refusal = self.lost = ""
        self.largest: int | None = None
        kind = cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: self.inbox)  # noqa: ARG005
        super().__init__(host, port, queue_type=kind, **options)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:  # noqa: ANN401
        self.largest = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:  # noqa: ANN401
        told = getattr(flags, "is_disconnect_packet_from_server", False)
        self.lost = str(reason_code).lower() if told else "without a word"
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:  # noqa: ANN401
        if getattr(reason_code, "value", 0) >= REFUSED:
            self.refusal = str(reason_code).lower()
        super()._on_publish(client, userdata, mid, reason_code, properties)

    async def tell(self, topic: str, payload: str, *, retain: bool = False, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Publish, and wait for the acknowledgement; why the broker refused it, empty where it did not."""
        self.refusal = ""
        await self.publish(topic, payload, qos=1, retain=retain, timeout=timeout)
        return self.refusal

    async def hear(self, pattern: str, qos: int = 1) -> str:
        """Subscribe; why the broker refused it, empty where it did not."""
        for code in await self.subscribe(pattern, qos=qos):
            number = code if isinstance(code, int) else code.value
            if number >= REFUSED:
                return "refused" if isinstance(code, int) else str(code).lower()
        return ""


def speaks_no_v5(error: BaseException) -> bool:
    """Whether a broker refused a connection since it does not know MQTT 5, or took it and said nothing at all."""
    if isinstance(error, aiomqtt.MqttCodeError):
        return getattr(error.rc, "value", error.rc) in UNKNOWN_VERSION
    return isinstance(error, (aiomqtt.MqttError, TimeoutError))
