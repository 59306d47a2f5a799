"""``python -m tests.soak --hours H [--accelerated]``: 16 BMSs on four buses, disturbed lines, random faults.

The program runs as a process of its own. Accelerated, its clocks and those of the simulated world run
``--factor`` times as fast, so that every pause, period and age in it shrinks alike. Prints JSON lines: what grew,
what was wrong, with the goal beside. Nothing is asserted; the figures are for people.
"""

import argparse
import asyncio

from tests.soak.clock import hurry, loop


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--hours", type=float, default=0.25, help="of the program's clock")
    parser.add_argument("--accelerated", action="store_true", help="let all clocks run --factor times as fast")
    parser.add_argument("--factor", type=float, default=20.0)
    parser.add_argument("--corrupted", type=float, default=0.01, help="share of bytes that are damaged, in bursts")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    factor = args.factor if args.accelerated else 1.0
    hurry(factor)
    # only now, as its modules keep the clock function
    from tests.soak.run import soak

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(soak(args.hours * 3600, factor, args.corrupted, args.seed))


if __name__ == "__main__":
    main()
