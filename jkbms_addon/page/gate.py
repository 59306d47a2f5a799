"""Who may look at the page, and as whom. Pure.

Behind the Supervisor's proxy everybody who is logged in at Home Assistant may read; nobody else reaches it. At a port
of its own the page wants a token, and that the browser shows the page itself and no other site.
"""

import hmac
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from jkbms_addon.page.place import Place

NOBODY: Final = "page"  # the user's name where it is not told
LONGEST: Final = 64  # characters of a name
NAMES: Final = ("X-Remote-User-Display-Name", "X-Remote-User-Name")
TRIES, WITHIN, PAUSE = 5, 60.0, 60.0  # wrong tokens of one peer, in s, and for how long it is not listened to then
PEERS: Final = 256  # peers whose tries are remembered


def admitted(place: Place, peer: str) -> bool:
    """Whether this address is served at all."""
    return not place.peer or peer == place.peer


def user(place: Place, headers: Mapping[str, str]) -> str:
    """Who looks, as the proxy says; header values arrive as latin-1 and are UTF-8."""
    if not place.peer:
        return NOBODY
    for name in NAMES:
        if told := headers.get(name, ""):
            text = told.encode("latin-1", "replace").decode("utf-8", "replace").strip()
            if shown := "".join(one for one in text if one.isprintable())[:LONGEST]:
                return shown
    return NOBODY


def same_site(place: Place, headers: Mapping[str, str]) -> bool:
    """Whether the page itself opens the socket and not another site; behind the proxy that is the proxy's business."""
    if place.peer:
        return True
    origin = urlsplit(headers.get("Origin", "")).netloc.lower()
    hosts = {headers.get(name, "").lower() for name in ("Host", "X-Forwarded-Host")} - {""}
    return bool(origin) and origin in hosts


@dataclass(slots=True)
class Tokens:
    """Compares tokens, and stops listening to who guesses. Times are monotonic s."""

    token: str = field(repr=False)
    _wrong: dict[str, deque[float]] = field(default_factory=dict)

    def waits(self, peer: str, now: float) -> bool:
        """Whether this peer guessed too often and must wait."""
        tries = self._wrong.get(peer)
        return bool(tries) and len(tries or ()) == TRIES and now - (tries or [now])[-1] < PAUSE

    def right(self, peer: str, token: object, now: float) -> bool:
        """Whether this is the token; a wrong one counts."""
        if isinstance(token, str) and hmac.compare_digest(token.encode(), self.token.encode()):
            self._wrong.pop(peer, None)
            return True
        tries = self._wrong.setdefault(peer, deque(maxlen=TRIES))
        while tries and now - tries[0] > WITHIN:
            tries.popleft()
        tries.append(now)
        if len(self._wrong) > PEERS:
            del self._wrong[next(iter(self._wrong))]
        return False
