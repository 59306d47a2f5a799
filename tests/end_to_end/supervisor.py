"""A Supervisor, as far as the real frontend asks one about an app: answered in the browser, before it is sent.

There is none on the machine of these tests. Its websocket messages and its texts are answered from the files that it
reads itself: ``config.yaml``, with the schema turned into the rows of a form as it does, ``translations/``, ``DOCS.md``
and ``README.md`` with their links as a release sets them, ``CHANGELOG.md``.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from release.release import with_links
from tests.end_to_end.stage import ROOT
from tests.test_manifest import CONFIG

SLUG = "local_jkbms"
REPOSITORY = "OWNER/NAME"  # to which the links of DOCS.md lead
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


# what the frontend wants to know of an app beyond what config.yaml says
INSTALLED: Mapping[str, Any] = {
    "slug": SLUG,
    "version_latest": CONFIG["version"],
    "update_available": False,
    "installed": True,
    "available": True,
    "state": "started",
    "repository": "local",
    "stage": "stable",
    "boot": "auto",
    "network": None,
    "ingress_panel": False,
    "watchdog": False,
    "auto_update": False,
    "hassio_role": "default",
    "rating": 6,
    "protected": True,
    "apparmor": "profile",
    "icon": False,
    "logo": False,
    "changelog": True,
    "documentation": True,
    "audio": False,
    "devices": [],
    "services_role": CONFIG["services"],
    "discovery": [],
    "hostname": SLUG.replace("_", "-"),
    "dns": [],
    "machine": [],
    "homeassistant": None,
    "system_managed": False,
}
SAID = ("name", "version", "description", "options", "arch", "host_network", "ingress", "privileged")


def app(language: str) -> dict[str, Any]:
    """What a Supervisor tells of ours, with the texts of the form in English and a language."""
    texts = {name: yaml.safe_load((ROOT / "translations" / f"{name}.yaml").read_text()) for name in {"en", language}}
    return {
        **INSTALLED,
        **{key: CONFIG[key] for key in SAID},
        "schema": rows(CONFIG["schema"]),
        "translations": texts,
        "long_description": introduction(),
        "url": f"https://github.com/{REPOSITORY}",
    }


def known(app: Mapping[str, Any]) -> dict[str, Any]:
    """Answers to its websocket messages, by the path that is asked for."""
    return {
        f"/addons/{SLUG}/info": app,
        "/supervisor/info": {"version": "2026.11.0", "addons": [app], "channel": "stable", "healthy": True},
        "/host/info": {"features": [], "hostname": "here"},
        "/store": {"addons": [], "repositories": []},
        "/addons": {"addons": [app]},
    }


def introduction() -> str:
    """What stands on the app's page *Info*."""
    return with_links((ROOT / "README.md").read_text(encoding="utf-8"), REPOSITORY)


def texts() -> dict[str, str]:
    """What the app's pages *Documentation* and *Changelog* show."""
    documentation = (ROOT / "DOCS.md").read_text(encoding="utf-8")
    return {
        "documentation": with_links(documentation, REPOSITORY),
        "changelog": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }


def script(known: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Run in a page before its own scripts: answers what is asked of a Supervisor, and says that there is one."""
    paths = {f"/api/hassio/addons/{SLUG}/{name}": text for name, text in texts.items()}
    return ANSWERS % (json.dumps(known), json.dumps(paths))


ANSWERS = """
(() => {
  const known = %s, texts = %s;
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
  const fetched = window.fetch;
  window.fetch = async (asked, ...more) => {
    const path = new URL(asked.url ?? asked, location.href).pathname;
    if (!(path in texts)) return fetched(asked, ...more);
    return new Response(texts[path], {headers: {'Content-Type': 'text/plain'}});
  };
})();
"""
