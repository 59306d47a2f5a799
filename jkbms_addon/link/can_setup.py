"""Brings a SocketCAN link up at its bit rate, with the program ``ip`` of iproute2."""

import json
import subprocess
from contextlib import suppress
from functools import partial
from typing import Any

from jkbms_addon.errors import LinkError
from jkbms_addon.worker import own

RESTART, QUEUE = 100, 10  # ms until a controller that is bus-off starts again; frames that may wait to be sent
PATIENCE, GRACE = 5.0, 1.0  # s for one command, and until one that took longer must have ended
_FIXED = "bittiming_bitrate"  # the rate of a controller that only has some fixed ones, such as the kernel's slcan


async def set_up(name: str, bitrate: int) -> None:
    """Bring a SocketCAN link up at ``bitrate`` bit/s; ``LinkError``. A healthy one at that rate is left alone.

    It needs iproute2 and the capability NET_ADMIN.
    """
    shown = await _shown(name)
    link = shown.get("linkinfo", {})
    up = "UP" in shown.get("flags", ())
    if link.get("info_kind") != "can":  # a virtual one has no bit rate
        if not up:
            await _ip(name, "link", "set", "dev", name, "up")
        return
    state: dict[str, Any] = link.get("info_data", {})
    restarts = state.get("restart_ms") == RESTART or _FIXED in state
    same = _rate(state) == bitrate and restarts
    if up and same and state.get("state") == "ERROR-ACTIVE" and shown.get("txqlen") == QUEUE:
        return
    change = ("link", "set", "dev", name)
    await _ip(name, *change, "down")  # also forgets the frames that nobody acknowledged
    timing = ("txqueuelen", str(QUEUE), "type", "can", "bitrate", str(bitrate))
    try:
        await _ip(name, *change, *timing, "restart-ms", str(RESTART))
    except LinkError as error:
        if not any(text in str(error) for text in ("restart", "not supported")):
            raise
        await _ip(name, *change, *timing)  # the kernel's slcan has no restart; it is set up anew when it is opened
    await _ip(name, *change, "up")


async def found_rate(name: str) -> int | None:
    """Bit/s at which a SocketCAN link runs as it is; None where that is not known."""
    with suppress(LinkError):
        shown = await _shown(name)
        return _rate(shown.get("linkinfo", {}).get("info_data", {}))
    return None


async def _shown(name: str) -> dict[str, Any]:
    """What ``ip`` tells of a link; ``LinkError``."""
    try:
        shown: dict[str, Any] = json.loads(await _ip(name, "-details", "-json", "link", "show", "dev", name))[0]
    except (ValueError, LookupError, TypeError) as error:
        raise LinkError(f"{name}: cannot be set up: the program ip (iproute2) does not tell how it is") from error
    return shown


def _rate(state: dict[str, Any]) -> int | None:
    rate = state.get(_FIXED) or state.get("bittiming", {}).get("bitrate")
    return rate if isinstance(rate, int) else None


async def _ip(name: str, *arguments: str) -> str:
    """What the program ``ip`` says; ``LinkError`` with its complaint."""
    # starting a program waits for the disk, too
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    command = partial(subprocess.run, ["ip", *arguments], **options, check=False, timeout=PATIENCE)
    slow = f"{name}: setting the link up took too long"
    try:
        done = await own().call(command, PATIENCE + GRACE, slow)
    except subprocess.TimeoutExpired as error:
        raise LinkError(slow) from error
    except OSError as error:
        raise LinkError(f"{name}: cannot be set up: the program ip (iproute2) cannot be run") from error
    if done.returncode:
        raise LinkError(_refused(name, done.stderr.strip()))
    return done.stdout


def _refused(name: str, complaint: str) -> str:
    if "does not exist" in complaint or "Cannot find device" in complaint:
        return f"{name}: does not exist; is the adapter plugged in?"
    if "not permitted" in complaint:
        return f"{name}: setting the link up needs the capability NET_ADMIN"
    return f"{name}: cannot be set up: {complaint.splitlines()[-1] if complaint else 'unknown reason'}"
