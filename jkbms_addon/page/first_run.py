"""What is connected to this computer, for who has no battery on the page yet: serial ports and CAN interfaces."""

from pathlib import Path
from typing import Any, Final

from jkbms_addon.link.place import real

BY_ID: Final = Path("/dev/serial/by-id")
DEVICES: Final = Path("/dev")
PATTERNS: Final = ("ttyUSB*", "ttyACM*", "ttyAMA*")
NETWORK: Final = Path("/sys/class/net")
CAN: Final = "280"  # ARPHRD_CAN
MOST: Final = 32


def look(by_id: Path = BY_ID, devices: Path = DEVICES, network: Path = NETWORK) -> dict[str, Any]:
    """Ports by their lasting names, ports without one, CAN interfaces and whether each is up. It blocks."""
    named = sorted(by_id.glob("*"))[:MOST]
    taken = {real(str(path)) for path in named}
    bare = [path for pattern in PATTERNS for path in sorted(devices.glob(pattern)) if real(str(path)) not in taken]
    can = [path for path in sorted(network.glob("*")) if _text(path / "type") == CAN]
    return {
        "ports": [{"path": str(path), "device": real(str(path))} for path in named]
        + [{"path": str(path), "device": None} for path in bare[:MOST]],
        "can": [{"name": path.name, "up": _text(path / "operstate") == "up"} for path in can[:MOST]],
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
