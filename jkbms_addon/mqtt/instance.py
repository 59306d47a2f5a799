"""Whether another app already uses our topics on this broker. Pure.

Theory of operation
- Whoever publishes has claimed the base topic: a retained message with its client id and the time of its start.
- Who comes asks first, on a topic that the claimant hears, and waits ``ANSWER`` seconds where a claim of somebody
  else stands there. An answer means that this one lives: then nothing is published, and it is asked again when it
  has been away for ``GONE`` seconds. A claim that nobody answers for is an old one and is replaced.
- Two that claim at the same time hear each other: the one that started later gives way.
- A broker that crashed may have forgotten our claim and remember that of our run before: nobody else is there then.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

ANSWER: Final = 3.0  # s that a living claimant may need
GONE: Final = 60.0  # s that it must be away until another one may take its place


@dataclass(frozen=True, slots=True)
class Claim:
    """Who publishes: its client id, a number of this run, and when that began, s since 1970."""

    id: str
    run: str
    since: float

    def text(self) -> str:
        """As it is published."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Claim | None":
        """Of somebody's message; None where it is none."""
        try:
            told: Any = json.loads(text)
            return cls(str(told["id"])[:80], str(told["run"])[:80], float(told["since"]))
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            return None

    def before(self, other: "Claim") -> bool:
        """Whether this one was there first."""
        return (self.since, self.id, self.run) < (other.since, other.id, other.run)


@dataclass(slots=True)
class Instance:
    """We among others on one broker; times are monotonic s."""

    own: Claim
    stands: Claim | None = None  # somebody else's claim that the broker kept
    before: Claim | None = None  # that of an earlier run of ours, as it stood there when this one began
    rival: Claim | None = None  # somebody else who lives and was there first
    seen: float = float("-inf")  # when that one was heard last
    claimed: bool = False  # on this connection
    served: bool = False  # ever since this run began

    def begin(self) -> None:
        """A connection begins."""
        self.claimed, self.stands, self.rival = False, None, None

    def claims(self) -> str:
        """Take the topics; what is to be published."""
        self.claimed = self.served = True
        self.rival = None
        return self.own.text()

    def heard(self, text: str, now: float, *, stored: bool) -> bool:
        """A claim came; whether ours has to be said again."""
        claim = Claim.read(text)
        if claim == self.own:
            return False
        if claim is None:  # somebody cleared or spoiled it
            return self.claimed and not stored
        if stored:
            self.stands = claim
            if not self.served and claim.id == self.own.id:
                self.before = claim
            return False
        if self.served and self.own.before(claim):
            return self.claimed
        self.rival, self.seen = claim, now
        return False

    @property
    def doubtful(self) -> bool:
        """Whether somebody else may live: a claim stands there that is not of an earlier run of ours."""
        return self.stands is not None and self.stands.id != self.own.id

    @property
    def copied(self) -> bool:
        """Whether somebody has our client id, as with a copy of our data: only one of us could stay connected."""
        if self.stands is None or self.stands == self.before:
            return False
        return self.served and self.stands.id == self.own.id

    def gone(self, now: float) -> bool:
        """Whether the other one has been away for long enough."""
        return now - self.seen >= GONE
