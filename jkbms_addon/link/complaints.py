"""What BlueZ and its library complain of, in words that help; and a time limit for every call to them.

Import this module only where a bus uses Bluetooth: the library takes 3 MB.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from bleak.exc import BleakError
from dbus_fast.errors import DBusFastError

from jkbms_addon.errors import LinkError

Result = TypeVar("Result")
LATE: Final = "Bluetooth does not answer in time"
LATE_CONNECT: Final = (
    "heard, but no connection comes about in time: too far away, or it demands pairing: set the option pin"
)
HUNG_UP: Final = "the BMS hung up, or the adapter is gone"
NO_BLUEZ: Final = "no Bluetooth on this host: {}"
WORDS: Final = (  # what is found in the library's complaint, and what is told of it
    ("InProgress", "another program is connecting through this adapter just now"),
    ("NotReady", "the Bluetooth adapter is switched off"),
    ("ServiceUnknown", NO_BLUEZ.format("bluetoothd does not run")),
    ("NameHasNoOwner", NO_BLUEZ.format("bluetoothd does not run")),
    ("Error.Spawn.", NO_BLUEZ.format("bluetoothd does not run")),  # where D-Bus would start it, and cannot
    ("AccessDenied", "D-Bus refuses this program: an AppArmor profile or a D-Bus policy of the host"),
    ("Authentication", "it refuses without pairing, or the PIN is wrong: set the option pin"),
    ("NoReply", "bluetoothd does not answer"),
    ("Not connected", HUNG_UP),  # to a write, before the callback tells it
    ("NO_BLUETOOTH", NO_BLUEZ.format("no adapter is found")),
    ("EOFError", NO_BLUEZ.format("its D-Bus went away")),
    (
        "connection-canceled",
        "it hangs up while it is connected to; if that goes on, it may demand pairing: set the option pin",
    ),
)


async def limited(call: Awaitable[Result], seconds: float, name: str, late: str = LATE) -> Result:
    """The outcome of a call to BlueZ; ``LinkError`` when it fails or takes too long, which is told by ``late``."""
    with translated(name, late):
        async with asyncio.timeout(seconds):
            return await call


@contextmanager
def translated(name: str, late: str = LATE) -> Iterator[None]:
    """Errors of the library and of D-Bus as ``LinkError``, in words that help."""
    try:
        yield
    except TimeoutError as error:
        raise LinkError(f"{name}: {late}") from error
    except FileNotFoundError as error:
        raise LinkError(f"{name}: {NO_BLUEZ.format('its D-Bus is not there')}") from error
    # the library checks the state of BlueZ by assertions and keys, which fail when BlueZ goes away meanwhile
    except (BleakError, DBusFastError, OSError, EOFError, AssertionError, KeyError) as error:
        raise LinkError(f"{name}: {_words(error)}") from error


def _words(error: Exception) -> str:
    text = " ".join(str(part) for part in error.args if isinstance(part, str)) or type(error).__name__
    if reason := getattr(error, "reason", None):
        text = f"{text} {getattr(reason, 'name', '')}".strip()
    return next((words for sign, words in WORDS if sign in f"{type(error).__name__} {text}"), text)[:200]
