"""``python -m tests.faults``: run the matrix and keep how long healing took, the longest of ``--times`` runs."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.table import CELLS, MEASURED


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--side-by-side", type=int, default=3)
    args = parser.parse_args()
    healed: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "measured"
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(args.side_by_side), str(Path(__file__).parent)]
        for _ in range(args.times):
            status = subprocess.run(command, env={**os.environ, "FAULTS_MEASURED": str(told)}, check=False).returncode
            if status:
                return status
        for line in told.read_text().splitlines():
            cell, seconds = json.loads(line)
            healed[cell] = max(healed.get(cell, 0.0), seconds)
    ordered = {f"{link}/{fault}": healed[f"{link}/{fault}"] for link, fault in CELLS}
    content = {"date": datetime.now(UTC).date().isoformat(), "runs": args.times, "healed": ordered}
    MEASURED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
