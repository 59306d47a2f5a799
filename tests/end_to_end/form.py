"""The form of options: what ``config.yaml`` and a translation say of it, and what the real frontend makes of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from playwright.async_api import Locator, Page

from tests.end_to_end.stage import ROOT
from tests.end_to_end.supervisor import rows
from tests.test_manifest import CONFIG

# rows of a form, without those of the forms in it; a section is a row, too
ROWS = """
(form) => [...form.shadowRoot.querySelectorAll('ha-selector, ha-form-expandable')].map((one) => ({
  name: one.label,
  kind: one.shadowRoot.firstElementChild.localName,
  required: Boolean(one.required),
  high: one.getBoundingClientRect().height > 0,
}))
"""
KINDS = {"string": "text", "integer": "number", "float": "number", "boolean": "boolean", "select": "select"}
SECTION = "ha-expansion-panel"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the reader sees it; ``kind`` is the element that asks for its value."""

    name: str
    kind: str
    required: bool
    high: bool = True  # not folded to nothing


class Form:
    """What the form has to look like in a language."""

    def __init__(self, language: str) -> None:
        file = ROOT / "translations" / f"{language}.yaml"
        self.texts: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["configuration"]

    def name(self, section: str) -> str:
        return str(self.texts[section]["name"])

    def rows(self) -> list[Row]:
        """Those at the top; what has no value and may stay empty is hidden until it is asked for."""
        schema = {key: told for key, told in CONFIG["schema"].items() if key in CONFIG["options"]}
        return _rows(schema, self.texts)

    def of(self, section: str) -> list[Row]:
        """Those of a section, or of one entry of a list of them; they are all there."""
        schema = CONFIG["schema"][section]
        return _rows(schema[0] if isinstance(schema, list) else schema, self.texts[section]["fields"])


def _rows(schema: Mapping[str, Any], texts: Mapping[str, Any]) -> list[Row]:
    return [Row(texts[row["name"]]["name"], _kind(row), bool(row.get("required"))) for row in rows(schema)]


def _kind(row: Mapping[str, Any]) -> str:
    if row["type"] == "schema":
        return "ha-selector-object" if row["multiple"] else SECTION
    return "ha-selector-select" if row.get("multiple") else f"ha-selector-{KINDS[row['type']]}"


async def shown(form: Locator) -> list[Row]:
    """The rows of a form that is there."""
    await form.locator("ha-selector").first.wait_for()
    return [Row(**row) for row in await form.evaluate(ROWS)]


def top(page: Page) -> Locator:
    return page.locator("supervisor-app-config ha-form").first


def section(page: Page, name: str) -> Locator:
    """A section by its title."""
    return page.locator("ha-form-expandable").filter(has=page.get_by_role("button", name=name, exact=True))


async def opened(page: Page, name: str) -> Locator:
    """The form in a section, unfolded."""
    part = section(page, name)
    await part.get_by_role("button", name=name, exact=True).click()
    form = part.locator("ha-form")
    await form.locator("ha-selector").first.wait_for()
    return form


async def entry(page: Page) -> Locator:
    """The form of the first bus, in a dialog."""
    await page.locator("ha-selector-object").first.locator("ha-icon-button").first.click()
    return page.locator("ha-dialog ha-form")
