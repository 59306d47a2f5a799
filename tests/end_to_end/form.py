"""Pictures of the options form as the real frontend draws it: ``python -m tests.end_to_end.form FOLDER``.

There is no Supervisor here: in the browser, what the frontend asks of one is answered from ``config.yaml`` and
``translations/``, with the schema turned into the form's rows as the Supervisor does. The environment is that of the
other tests of this folder.
"""

import argparse
import asyncio
import base64
import json
import re
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import mosquitto
from tests.end_to_end.home_assistant import home_assistant
from tests.end_to_end.screenshots import LOADING, Tab, browser, logged_in, photographed
from tests.end_to_end.stage import ROOT
from tests.test_manifest import CONFIG, LANGUAGES

SLUG = "local_jkbms"
HEIGHT = 1400
ELEMENT = re.compile(
    r"^(?P<kind>bool|email|url|port|str|password|int|float|match|list|device)(?:\((?P<of>.*)\))?(?P<free>\?)?$"
)
PLAIN = {"bool": "boolean", "int": "integer", "float": "float", "port": "integer"}


def rows(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the form."""
    return [_row(name, told) for name, told in schema.items()]


def _row(name: str, told: Any) -> dict[str, Any]:
    if isinstance(told, list) and isinstance(told[0], dict):
        return {"name": name, "type": "schema", "optional": True, "multiple": True, "schema": rows(told[0])}
    if isinstance(told, dict):
        return {"name": name, "type": "schema", "optional": True, "multiple": False, "schema": rows(told)}
    found = ELEMENT.match(told[0] if isinstance(told, list) else told)
    assert found, told
    row: dict[str, Any] = {"name": name, "type": PLAIN.get(found["kind"], "string")}
    row |= {"multiple": True} if isinstance(told, list) else {}
    row |= {"optional": True} if found["free"] else {"required": True}
    if found["kind"] == "list":
        row |= {"type": "select", "options": found["of"].split("|")}
    elif found["kind"] == "password":
        row |= {"format": "password"}
    elif found["kind"] in ("int", "float") and found["of"]:
        low, high = found["of"].split(",")
        row |= {"valueMin": float(low), "valueMax": float(high)}
    return row


def supervisor(language: str) -> dict[str, Any]:
    """What a Supervisor would answer, by the path that is asked for."""
    texts = {name: yaml.safe_load((ROOT / "translations" / f"{name}.yaml").read_text()) for name in {"en", language}}
    app = {
        **{key: CONFIG[key] for key in ("name", "version", "description", "options")},
        "slug": SLUG,
        "schema": rows(CONFIG["schema"]),
        "translations": texts,
        "state": "started",
        "version_latest": CONFIG["version"],
        "update_available": False,
        "installed": True,
        "available": True,
        "arch": CONFIG["arch"],
        "repository": "local",
        "stage": "stable",
        "boot": "auto",
        "network": None,
        "host_network": True,
        "ingress": True,
        "ingress_panel": False,
        "watchdog": False,
        "auto_update": False,
        "hassio_role": "default",
        "rating": 6,
        "protected": True,
        "apparmor": "profile",
        "icon": False,
        "logo": False,
        "changelog": False,
        "documentation": False,
        "long_description": "",
        "audio": False,
        "devices": [],
        "services_role": ["mqtt:want"],
        "discovery": [],
        "hostname": "local-jkbms",
        "dns": [],
        "privileged": CONFIG["privileged"],
        "machine": [],
        "homeassistant": None,
        "system_managed": False,
    }
    return {
        f"/addons/{SLUG}/info": app,
        "/supervisor/info": {"version": "2026.11.0", "addons": [app], "channel": "stable", "healthy": True},
        "/host/info": {"features": [], "hostname": "here"},
        "/store": {"addons": [], "repositories": []},
        "/addons": {"addons": [app]},
    }


# answers what a Supervisor would, and says that there is one
ANSWERS = """
(() => {
  const known = %s;
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    addEventListener(kind, handler, options) {
      if (kind !== 'message') return super.addEventListener(kind, handler, options);
      return super.addEventListener(kind, (event) => {
        if (typeof event.data !== 'string' || event.mine) return handler(event);
        const data = JSON.parse(event.data);
        for (const one of Array.isArray(data) ? data : [data])
          if (one.result && Array.isArray(one.result.components)) one.result.components.push('hassio');
        handler(new MessageEvent('message', {data: JSON.stringify(data)}));
      }, options);
    }
    send(text) {
      const left = [];
      const data = JSON.parse(text);
      for (const one of Array.isArray(data) ? data : [data]) {
        if (!String(one.type).startsWith('supervisor/')) { left.push(one); continue; }
        const path = Object.keys(known).find((path) => path === (one.endpoint ?? one.type));
        const said = {id: one.id, type: 'result', success: true, result: path ? known[path] : {}};
        setTimeout(() => {
          const event = new MessageEvent('message', {data: JSON.stringify(said)});
          event.mine = true;
          this.dispatchEvent(event);
        }, 10);
      }
      if (left.length) super.send(JSON.stringify(Array.isArray(data) ? left : left[0]));
    }
  };
})();
"""


# every element of a name, in all shadows
DEEP = """
const deep = (root, name) => [...root.querySelectorAll('*')].flatMap(
  (one) => [...(one.matches(name) ? [one] : []), ...(one.shadowRoot ? deep(one.shadowRoot, name) : [])]);
"""
OPENED = DEEP + "deep(document, 'ha-expansion-panel').forEach((one) => { one.expanded = true; })"
EDITED = (
    DEEP
    + "deep(document, 'ha-form ha-icon-button, ha-form-list ha-icon-button, ha-icon-button').find("
    + (
        "(one) => one.path && deep(document, 'ha-form').some((form) => deep(form.shadowRoot, 'ha-icon-button')"
        ".includes(one)))?.click()"
    )
)


async def pictured(tab: Tab, file: Path, height: int) -> None:
    """The window as it is."""
    size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
    await tab.do("Emulation.setDeviceMetricsOverride", **size)
    await asyncio.sleep(2)
    file.write_bytes(base64.b64decode((await tab.do("Page.captureScreenshot", format="png"))["data"]))
    print(file)


async def take(folder: Path, languages: list[str]) -> None:
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(mosquitto(Path(tempfile.mkdtemp())))
        ha = await stack.enter_async_context(home_assistant(broker.port))
        for language in languages:
            async with browser() as tab:
                await logged_in(tab, ha)
                script = ANSWERS % json.dumps(supervisor(language))
                script += f"localStorage.setItem('selectedLanguage', JSON.stringify({json.dumps(language)}));"
                await tab.do("Page.addScriptToEvaluateOnNewDocument", source=script)
                url = f"{ha.url}/config/app/{SLUG}/config"
                await photographed(tab, url, (0, 0, 1280, HEIGHT), folder / f"form-{language}.png")
                await tab.do("Runtime.evaluate", expression=EDITED)
                await pictured(tab, folder / f"form-{language}-bus.png", 1900)
                await tab.do("Page.reload")
                await asyncio.sleep(LOADING)
                await tab.do("Runtime.evaluate", expression=OPENED)
                await pictured(tab, folder / f"form-{language}-open.png", 4200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("languages", nargs="*", default=["en"], help=f"of {', '.join(LANGUAGES)}")
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(told.folder, told.languages))


if __name__ == "__main__":
    main()
