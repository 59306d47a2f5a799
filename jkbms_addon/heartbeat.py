"""Sign of life for the container's health check, and in the same file the counters that a bug report needs."""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LOGGER = logging.getLogger(__name__)
HEARTBEAT = Path("/dev/shm/jkbms-heartbeat")  # noqa: S108 - in memory; the health check looks at its age


def write(health: Callable[[], Mapping[str, Any]]) -> None:
    """Write the file anew; a machine without shared memory only loses the health check."""
    try:
        HEARTBEAT.write_text(json.dumps(health(), ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        _LOGGER.debug("no heartbeat file: %s", error)
