"""``python -m tests.soak.ble [--hours H]``: two batteries over Bluetooth that hang up, freeze and are damaged.

The strategy, its owner and the store are the program's; the radio is none. All clocks run ``--factor`` times as fast.
Prints one JSON object: frames, lost links, values that were wrong, memory and processor time.
"""

import argparse
import asyncio
import json

from tests.soak.clock import hurry, loop


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.ble")
    parser.add_argument("--hours", type=float, default=1.0, help="of the hurried clock")
    parser.add_argument("--factor", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    hurry(args.factor)
    # only now, as its modules keep the clock function
    from tests.soak.ble_plant import Plant

    with asyncio.Runner(loop_factory=loop) as runner:
        print(json.dumps(runner.run(Plant(args.seed).soak(args.hours * 3600)), indent=1))


if __name__ == "__main__":
    main()
