"""Our page in the side bar of a real Home Assistant: real Core's ingress, the real frontend's panel of an app.

There is no Supervisor here. A component in the configuration registers what Core registers where there is one: its own
view for ingress, which leads to an imitation of the Supervisor's proxy (``tests/page/ingress.py``), and the panel. What
the frontend asks of a Supervisor is answered in the browser (``supervisor.py``).
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import mosquitto
from tests.end_to_end import supervisor as answers
from tests.end_to_end.frontend import stored
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant
from tests.end_to_end.supervisor import SLUG
from tests.page.ingress import PATH, supervisor
from tests.page.stage import Stage, batteries, served
from tests.test_manifest import CONFIG

FOLDER = os.environ.get("HOME_ASSISTANT_CONFIG")
needs_its_folder = pytest.mark.skipif(
    not FOLDER, reason="HOME_ASSISTANT_CONFIG is not set: its configuration's folder (tests/README.md)"
)
COMPONENT = """
from homeassistant.components import frontend
from homeassistant.components.hassio.ingress import HassIOIngress
from homeassistant.helpers.aiohttp_client import async_get_clientsession


async def async_setup(hass, config):
    told = config["side_bar"]
    hass.http.register_view(HassIOIngress(told["supervisor"], async_get_clientsession(hass)))
    frontend.async_register_built_in_panel(
        hass, "app", frontend_url_path=told["slug"], sidebar_title=told["title"], sidebar_icon=told["icon"],
        require_admin=False, config={"addon": told["slug"]},
    )
    return True
"""


@dataclass(slots=True)
class SideBar:
    """A Home Assistant with our page in its side bar."""

    ha: HomeAssistant
    stage: Stage

    @property
    def url(self) -> str:
        """The panel."""
        return f"{self.ha.url}/{SLUG}"

    def script(self, language: str, *, dark: bool) -> str:
        """Run in every page before its own: logged in, with a theme, and with a Supervisor."""
        app = answers.app(language) | {
            "ingress_url": f"{PATH}/",
            "ingress_entry": PATH,
            "ingress_panel": True,
        }
        known = answers.known(app)
        known |= {"supervisor/ingress/info": app, "supervisor/ingress/session": {"session": "abc"}}
        theme = {"theme": "default", "dark": dark}
        return stored(self.ha, selectedTheme=theme, selectedLanguage=language) + answers.script(known, {})


@asynccontextmanager
async def side_bar(folder: Path, packs: int = 4) -> AsyncIterator[SideBar]:
    """All of it, with so many packs."""
    assert FOLDER
    stage = Stage(folder, batteries(packs))
    stage.past()
    async with mosquitto(folder) as broker, served(stage) as place, supervisor(place.port) as proxy:
        async with home_assistant(broker.port) as ha:
            await ha.stop()
            _install(Path(FOLDER), proxy)
            await ha.start(keep=True)
            yield SideBar(ha, stage)


def _install(folder: Path, proxy: int) -> None:
    component = folder / "custom_components" / "side_bar"
    component.mkdir(parents=True, exist_ok=True)
    manifest = {"domain": "side_bar", "name": "Side bar", "version": "1.0.0", "dependencies": ["http", "frontend"]}
    (component / "manifest.json").write_text(json.dumps(manifest))
    (component / "__init__.py").write_text(COMPONENT)
    told = {
        "supervisor": f"127.0.0.1:{proxy}",
        "slug": SLUG,
        "title": CONFIG["panel_title"],
        "icon": CONFIG["panel_icon"],
    }
    with (folder / "configuration.yaml").open("a") as file:
        file.write(f"side_bar: {json.dumps(told)}\n")
