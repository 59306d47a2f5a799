"""The program of the soak: the app with a hurried clock, which writes its figures down when it gets SIGUSR1.

``python -m tests.soak.program FACTOR OPTIONS FIGURES``
"""

import asyncio
import gc
import json
import re
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.stuck import hang
from tests.soak.clock import hurry, loop


def figures(app: Any) -> dict[str, Any]:
    """What must not grow, and what was counted so far."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    return {
        "rss": round(rss, 1),
        "fds": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
        "kinds": kinds(),
        "queued": sum(map(app.commands.waiting, app.buses)),
        "readings": sum(snapshot.count for snapshot in app.store),
        **{
            key: sum(getattr(bus, key) for bus in app.buses.values())
            for key in ("frames", "checksum_errors", "implausible", "timeouts", "reconnects")
        },
    }


def kinds() -> dict[str, int]:
    """What the descriptors and the tasks are, so that a leak has a name."""
    files = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that looks at them
            files.append(re.sub(r"[:/]?\[?\d+\]?$", "", str(link.readlink())))
    tasks = [getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks()]
    return dict(sorted(Counter([*files, *tasks]).items()))


def main(factor: float, options: Path, told: Path) -> None:
    hurry(factor)
    hang(options.parent)
    # only now, as its modules keep the clock function
    from jkbms_addon.app import App
    from jkbms_addon.cli.run import log_to_stderr, until_signal
    from jkbms_addon.options.file import read

    async def run() -> None:
        app = App(read(options), options.parent)

        def tell() -> None:
            with told.open("a", encoding="utf-8") as file:
                file.write(json.dumps(figures(app)) + "\n")

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
        await until_signal(app)

    log_to_stderr("info")
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
