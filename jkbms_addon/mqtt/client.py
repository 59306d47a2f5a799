"""Owner of the broker: announces, publishes, hears when Home Assistant starts.

Theory of operation
- A connection *opens*: it listens, then asks whether another app has these topics (``instance``); only then it says
  ``online`` and publishes. It *works* when everything that was due has been acknowledged once.
- What only we may say (``bridge/state``, our claim, our announcements) comes back and is compared (``watch``);
  overwritten or cleared ones are said again.
- What the broker refuses is told once with its cause and tried again later; the rest goes on.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from errno import EBADF
from functools import partial
from secrets import token_hex
from typing import Any, Final

import aiomqtt

from jkbms_addon.battery.store import Store
from jkbms_addon.errors import LinkError
from jkbms_addon.mqtt.broker import Access
from jkbms_addon.mqtt.connection import connection
from jkbms_addon.mqtt.instance import ANSWER, Claim, Instance
from jkbms_addon.mqtt.outbox import Outbox
from jkbms_addon.mqtt.refusals import Refusals
from jkbms_addon.mqtt.register import Message
from jkbms_addon.mqtt.session import V3, V5, Session, speaks_no_v5
from jkbms_addon.mqtt.watch import Watch

_LOGGER = logging.getLogger(__name__)
logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # what the library logs it also raises
ACK_TIMEOUT = 3.0  # seconds for the broker's acknowledgement; its absence is how a frozen broker is noticed
KEEPALIVE = 20
TICK = 1.0  # seconds; silence of a battery is noticed without news
FAREWELL = 1.0  # seconds for the last words
ECHO = 0.5  # seconds that our own question needs at most to come back
TELL_EVERY: Final = 10.0  # seconds between lines about a flood
ASK_EVERY = 20.0  # seconds between questions to another app that has our topics


class Broker:
    """One connection at a time; ``own`` runs until it is lost.

    ``command`` gets topic, text and retained flag of whatever is published on a ``.../set`` topic of ours; those in
    ``urgent`` cannot be pushed out by a flood of others. ``identifier`` is the client id, the same in every run.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        access: Callable[[], Awaitable[Access]],
        save: Callable[[Outbox], None],
        healed: Callable[[], None],
        command: Callable[[str, str, bool], None] = lambda _topic, _payload, _retained: None,
        *,
        identifier: str = "",
        urgent: frozenset[str] = frozenset(),
    ) -> None:
        self._store, self._outbox, self._command = store, outbox, command
        self._access, self._save, self._healed, self._urgent = access, save, healed, urgent
        self.connected = False  # and publishing
        # the same for all connections: a try that a slow broker accepts too late must not live on, with its will,
        # beside the one that came after it
        self._identifier = identifier or f"jkbms-{token_hex(8)}"
        self._version: aiomqtt.ProtocolVersion = V5
        self._known = False  # whether the broker speaks that version
        self._watch, self._refusals = Watch(), Refusals(outbox.topics)
        self._instance = Instance(Claim(self._identifier, token_hex(4), round(time.time(), 3)))
        self._asked, self._answered = asyncio.Event(), asyncio.Event()  # our question came back; somebody claimed
        self._subscribed: set[str] = set()
        self._sending: Message | None = None
        self._told: set[str] = set()  # runs of other apps
        self._dropped, self._told_drops = 0, float("-inf")
        self.dropped = 0  # commands that a flood has cost
        self.problem = ""

    async def own(self) -> None:
        """Connect, publish and listen until the connection is lost (``LinkError``)."""
        access = await self._access()
        heed = _heeding()
        session: Session | None = None
        try:
            async with connection(access, partial(self._session, access)) as session:
                if not self._known:
                    _LOGGER.info("mqtt: connected to %s:%s", access.host, access.port)
                self._known = True
                await self._serve(session, heed)
        # the errors of the inner tasks come as a group
        except* (aiomqtt.MqttError, OSError) as errors:
            if session is None and not self._known and speaks_no_v5(_first(errors)):
                self._version = V3 if self._version is V5 else V5
            lost = self._refusals.fatal(self._sending, session.lost) if session and session.lost else ""
            raise LinkError(f"MQTT broker {access.host}:{access.port}: {lost or _reason(errors)}") from errors
        finally:
            self.connected = False

    def _session(self, access: Access, tls: ssl.SSLContext | None) -> Session:
        return Session(
            access.host,
            access.port,
            first=self._comes_first,
            protocol=self._version,
            identifier=self._identifier,
            username=access.username or None,
            password=access.password or None,
            tls_context=tls,
            will=aiomqtt.Will(self._outbox.topics.bridge_state, "offline", qos=1, retain=True),
            keepalive=KEEPALIVE,
            timeout=ACK_TIMEOUT,
        )

    # --- a connection ----------------------------------------------------------------------------------------
    async def _serve(self, session: Session, heed: Callable[[], None]) -> None:
        self._watch.forget()
        self._subscribed.clear()
        self._instance.begin()
        self._dropped = 0
        try:
            heed()
            # inside the client's block, so that both end before it does
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(session))
                tasks.create_task(self._publish(session))
        except asyncio.CancelledError:
            if self.connected:
                with suppress(aiomqtt.MqttError):
                    await session.tell(self._outbox.topics.bridge_state, "offline", retain=True, timeout=FAREWELL)
            raise

    async def _open(self, session: Session) -> None:
        """Make sure that these topics are ours, then say that we are there."""
        topics, instance = self._outbox.topics, self._instance
        # The broker keeps one bounded queue for us of what has to be acknowledged: a flood there would push out a Stop.
        # So what everybody may write a lot of comes without.
        heard = dict.fromkeys((topics.instance, topics.birth, topics.ask, *sorted(self._urgent)), 1)
        for pattern, qos in {**heard, topics.settings: 0}.items():
            if refusal := await session.hear(pattern, qos):
                self._refusals.refused(pattern, refusal)
        await self._ask(session)
        if instance.copied:
            self._identifier = f"jkbms-{token_hex(8)}"
            instance.own = Claim(self._identifier, instance.own.run, instance.own.since)
            raise LinkError("another app has our client id, such as a copy of our data: using another one")
        if instance.doubtful:
            await _within(self._answered, ANSWER)
        if instance.rival:
            await self._stay_silent(session)
        await self._say(session, Message(topics.instance, instance.claims(), retain=True))
        await self._say(session, Message(topics.bridge_state, "online", retain=True))
        self.connected = True

    async def _ask(self, session: Session) -> None:
        """Ask who is there; what the broker keeps has arrived when our own question comes back."""
        self._asked.clear()
        self._answered.clear()
        await session.tell(self._outbox.topics.ask, self._instance.own.run)
        await _within(self._asked, ECHO)

    async def _stay_silent(self, session: Session) -> None:
        """Another app has these topics: until it has been away for a while, nothing is published."""
        self.problem = f"another app publishes below {self._outbox.topics.base}/ on this broker and was there first"
        _LOGGER.warning("mqtt: %s: this one stays silent; give it another mqtt.base_topic", self.problem)
        while not self._instance.gone(self._store.clock()):
            await asyncio.sleep(ASK_EVERY)
            await self._ask(session)
        self.problem = ""
        _LOGGER.info("mqtt: the other app is gone, publishing below %s/", self._outbox.topics.base)

    # --- what is said ------------------------------------------------------------------------------------------
    async def _publish(self, session: Session) -> None:
        heed = _heeding()
        await self._open(session)
        self._outbox.forget()
        while True:
            self._store.changed.clear()
            now = self._store.clock()
            self._look(self._store.clock())
            for message in self._outbox.due(now):
                await self._say(session, message)
                heed()
            self._outbox.sent = now
            self._healed()  # an open connection proves little, what was acknowledged does
            if self._outbox.register.changed:
                self._outbox.register.changed = False
                self._save(self._outbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._store.changed.wait()
            await self._repair(session)

    async def _say(self, session: Session, message: Message) -> None:
        """Publish, and tell what the broker does not take."""
        if self._refusals.too_large(message, session.largest):
            return
        own = message.retain and message.payload != "" and self._outbox.is_ours(message.topic)
        if own:
            self._watch.said(message.topic, message.payload, self._store.clock())
        if message.retain and not message.payload:
            self._watch.drop(message.topic)  # before it comes back: it is taken back by us, nobody else clears it
        self._sending = message
        refusal = await session.tell(message.topic, message.payload, retain=message.retain)
        self._sending = None
        self._refusals.over(message)
        if refusal:
            self._refusals.refused(message.topic, refusal)
            self._watch.drop(message.topic)
            if own:
                self._watch.later(message.topic, self._store.clock())
            return
        self._refusals.taken(message.topic)
        if not own:
            self._watch.drop(message.topic)
        elif message.topic not in self._subscribed:
            self._subscribed.add(message.topic)
            if await session.hear(message.topic):
                self._watch.drop(message.topic)  # what cannot be heard cannot be watched

    def _look(self, now: float) -> None:
        """What the broker swallowed, who else is there, how much was too much."""
        if self._instance.rival:
            raise LinkError(f"another app (client id {self._instance.rival.id}) took over our topics")
        if late := self._watch.missing(now):
            self._refusals.unheard(late)
            for topic in late:
                self._watch.later(topic, now)

    def _count(self, session: Session) -> None:
        """Tell how many commands a flood has cost."""
        now = self._store.clock()
        lost = session.inbox.dropped - self._dropped
        if lost and now - self._told_drops >= TELL_EVERY:
            self._dropped, self._told_drops = session.inbox.dropped, now
            self.dropped += lost
            _LOGGER.warning("mqtt: %d commands were dropped, as more came than can be carried out", lost)

    async def _repair(self, session: Session) -> None:
        """Say again what somebody else overwrote, or what was refused a while ago."""
        self._count(session)
        topics = self._outbox.topics
        for topic in self._watch.due(self._store.clock()):
            if topic == topics.bridge_state:
                await self._say(session, Message(topic, "online", retain=True))
            elif topic == topics.instance:
                await self._say(session, Message(topic, self._instance.claims(), retain=True))
            else:
                self._outbox.again(topic)

    # --- what is heard -----------------------------------------------------------------------------------------
    def _comes_first(self, topic: str, retained: bool) -> bool:  # noqa: FBT001 - as the session calls it
        if not topic.endswith("/set"):
            return True
        return not retained and (topic in self._urgent or topic == self._outbox.topics.ask)

    async def _listen(self, session: Session) -> None:
        # no time limit around the iterator: cancelling it can lose a message
        async for message in session.messages:
            payload = message.payload
            text = payload.decode("utf-8", "replace") if isinstance(payload, (bytes, bytearray)) else ""
            self._heard(str(message.topic), text, message.retain)

    def _heard(self, topic: str, text: str, retained: bool) -> None:  # noqa: FBT001 - as the broker tells it
        topics = self._outbox.topics
        if topic == topics.birth:
            if text == "online":
                _LOGGER.debug("Home Assistant has started: publishing everything again")
                self._outbox.forget()
                self._store.changed.set()
        elif topic == topics.ask:
            self._heard_question(text)
        elif not topic.endswith("/set"):
            self._heard_own(topic, text, retained)
        elif text and (self.connected or retained):  # an empty one only deletes a retained one, which is refused
            self._command(topic, text, retained)  # whole: what is too long is refused, never cut
            self._store.changed.set()

    def _heard_question(self, run: str) -> None:
        """Somebody wants to know whether we are alive; our claim is the answer."""
        if run == self._instance.own.run:
            self._asked.set()
        elif self.connected and run:
            if run not in self._told:
                self._told = {run}
                _LOGGER.warning(
                    "mqtt: another app wants to publish below %s/ on this broker, too; it stays silent as long as we "
                    "are here; give it another mqtt.base_topic",
                    self._outbox.topics.base,
                )
            self._watch.at_once(self._outbox.topics.instance)
            self._store.changed.set()

    def _heard_own(self, topic: str, text: str, retained: bool) -> None:  # noqa: FBT001 - as the broker tells it
        """Something on a topic that is ours alone."""
        now = self._store.clock()
        if topic == self._outbox.topics.instance:
            if self._instance.heard(text, now, stored=retained):
                self._watch.at_once(topic)
            if not retained:
                self._answered.set()
        verdict = self._watch.heard(topic, text, now, stored=retained)
        if not verdict:
            self._refusals.heard(topic)
            return
        if verdict == "not taken":
            self._refusals.unheard([topic])
        else:
            level = logging.WARNING if self._watch.first_time(topic) else logging.DEBUG
            _LOGGER.log(level, "mqtt: %s was %s by somebody else; saying it again", topic, verdict)
        self._store.changed.set()


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for something, but not for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


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


def _first(errors: BaseExceptionGroup[Exception]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _reason(errors: BaseExceptionGroup[Exception]) -> str:
    """The broker's words, without a password in any form."""
    error = _first(errors)
    text = str(error)
    if "Not authorized" in text or "Bad user name" in text:
        return "refuses user name or password"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text or type(error).__name__
