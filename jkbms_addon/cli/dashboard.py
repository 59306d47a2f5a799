"""``dashboard``: a dashboard for Home Assistant from the batteries that the app has announced."""

import argparse
from pathlib import Path

from jkbms_addon.errors import OptionsError
from jkbms_addon.link.place import exists
from jkbms_addon.mqtt.announced import Published
from jkbms_addon.mqtt.discovery import DEFAULT_BASE, Topics
from jkbms_addon.mqtt.register import Announced
from jkbms_addon.options.file import read
from jkbms_addon.views import bank
from jkbms_addon.views.battery import battery, word
from jkbms_addon.views.dashboard import Known, dashboard, yaml
from jkbms_addon.views.entities import Device, Identity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--data", type=Path, default=Path("/data"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument(
        "--options", type=Path, metavar="FILE", help="for another base topic than jkbms; default: options.json there"
    )


def run(args: argparse.Namespace) -> int:
    """Print the dashboard; 1 when no battery is known."""
    topics = Topics(_base(args.options, args.data))
    known = Published(args.data, topics).load()
    batteries = sorted((one.key, name) for name, one in known.items() if one.key)
    found = [
        _known(topics, battery(key, frozenset(), Identity(), plain=known[name].plain), known[name])
        for key, name in batteries
        if name == topics.identifier(word(key))
    ]
    if not found:
        raise OptionsError(f"no battery is known in {args.data}: has the app published there?")
    together = known.get(topics.identifier(bank.BANK))
    whole = dashboard(_known(topics, bank.device([]), together) if together else None, found)
    print("# Settings, Dashboards, Add dashboard; then edit it, and put this into its raw configuration editor")
    print(yaml(whole), end="")
    return 0


def _base(options: Path | None, data: Path) -> str:
    """The base topic of the options, the default one where there are none."""
    path = options or data / "options.json"
    return read(path).mqtt.base_topic if options or exists(path) else DEFAULT_BASE


def _known(topics: Topics, device: Device, announced: Announced) -> Known:
    return Known(device.name, topics.entity(device.entity), dict(announced.components))
