"""Brings a SocketCAN link up at its bit rate, with the program ``ip`` of iproute2."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from jkbms_addon.errors import LinkError

RESTART, QUEUE = 100, 10  # ms until a controller that is bus-off starts again; frames that may wait to be sent
PATIENCE = 5.0  # s for one command
_FIXED = "bittiming_bitrate"  # the rate of a controller that only has some fixed ones, such as the kernel's slcan


async def set_up(name: str, bitrate: int) -> None:
    """Bring a SocketCAN link up at ``bitrate`` bit/s; ``LinkError``. A healthy one at that rate is left alone.

    It needs iproute2 and the capability NET_ADMIN.
    """
    shown = json.loads(await _ip(name, "-details", "-json", "link", "show", "dev", name))[0]
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
        shown = json.loads(await _ip(name, "-details", "-json", "link", "show", "dev", name))[0]
        return _rate(shown.get("linkinfo", {}).get("info_data", {}))
    return None


def _rate(state: dict[str, Any]) -> int | None:
    rate = state.get(_FIXED) or state.get("bittiming", {}).get("bitrate")
    return rate if isinstance(rate, int) else None


async def _ip(name: str, *arguments: str) -> bytes:
    """What the program ``ip`` says; ``LinkError`` with its complaint."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec("ip", *arguments, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise LinkError(f"{name}: cannot be set up: the program ip (iproute2) cannot be run") from error
    try:
        async with asyncio.timeout(PATIENCE):
            said, complaint = await process.communicate()
    except TimeoutError as error:
        raise LinkError(f"{name}: setting the link up took too long") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise LinkError(_refused(name, complaint.decode(errors="replace").strip()))
    return said


def _refused(name: str, complaint: str) -> str:
    if "does not exist" in complaint or "Cannot find device" in complaint:
        return f"{name}: does not exist; is the adapter plugged in?"
    if "not permitted" in complaint:
        return f"{name}: setting the link up needs the capability NET_ADMIN"
    return f"{name}: cannot be set up: {complaint.splitlines()[-1] if complaint else 'unknown reason'}"
