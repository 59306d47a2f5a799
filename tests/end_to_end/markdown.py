"""What a text in Markdown says, what a browser shows of it, and where the two differ."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Locator

CODE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RULE = re.compile(r"^\|(?: *:?-+:? *\|)+$")  # below the head of a table
ABSOLUTE = re.compile(r"https?://[^/\s]")
RAW = re.compile(r"\]\(|\|\s*:?---|\*\*|`|^#+ |^\s*\| ", re.MULTILINE)  # what is Markdown yet
SHOWN = """
(root) => {
  const all = (what) => [...root.querySelectorAll(what)];
  const words = (one) => one.textContent.split(/\\s+/).filter(Boolean).join(' ');
  const prose = root.cloneNode(true);
  prose.querySelectorAll('code').forEach((one) => one.remove());
  return {
    headings: all('h1,h2,h3,h4,h5,h6').map((one) => `${one.localName[1]} ${words(one)}`),
    tables: all('table').map((table) => [...table.rows].map((row) => [...row.cells].map(words))),
    code: all('pre').map((one) => one.textContent.trim()),
    links: all('a').map((one) => one.getAttribute('href') ?? ''),
    images: all('img').map((one) => one.getAttribute('src') ?? ''),
    prose: prose.textContent,
  };
}
"""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as its reader gets it; a heading begins with its level."""

    headings: list[str]
    tables: list[list[list[str]]]
    code: list[str]
    links: list[str]
    images: list[str]
    prose: str = ""


def said(text: str) -> Text:
    """What a text says."""
    body = CODE.sub("", text)
    return Text(
        headings=[f"{len(marks)} {_words(title)}" for marks, title in re.findall(r"^(#+) (.+)$", body, re.MULTILINE)],
        tables=list(_tables([line.strip() for line in body.splitlines()])),
        code=[block.strip() for block in CODE.findall(text)],
        links=re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", body),
        images=re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", body),
    )


async def shown(page: Locator) -> Text:
    """What an ``ha-markdown`` shows, once it does."""
    await page.locator("h1, h2, p").first.wait_for()
    found: dict[str, Any] = await page.locator("ha-markdown-element").evaluate(SHOWN)
    return Text(**found)


def faults(wanted: Text, seen: Text) -> list[str]:
    """Where a page does not show what its text says, or shows what helps nobody."""
    return [
        *(f"heading: {one}" for one in differing(wanted.headings, seen.headings)),
        *(f"table: {one}" for one in differing(wanted.tables, seen.tables)),
        *(f"code: {one}" for one in differing(wanted.code, seen.code)),
        *(f"link: {one}" for one in differing(wanted.links, seen.links)),
        *(f"image: {one}" for one in differing(wanted.images, seen.images)),
        *(f"leads nowhere: {one}" for one in (*seen.links, *seen.images) if not ABSOLUTE.match(one)),
        *(f"raw: {seen.prose[max(0, one.start() - 30) : one.end() + 30]!r}" for one in RAW.finditer(seen.prose)),
    ]


def differing(wanted: list[Any], seen: list[Any]) -> Iterator[str]:
    """What stands at the same place in both and is not the same."""
    for n in range(max(len(wanted), len(seen))):
        one, other = (them[n] if n < len(them) else None for them in (wanted, seen))
        if one != other:
            yield f"{one!r} is shown as {other!r}"


def _tables(lines: list[str]) -> Iterator[list[list[str]]]:
    for n, line in enumerate(lines):
        if RULE.match(line):
            end = next((m for m in range(n, len(lines)) if not lines[m].startswith("|")), len(lines))
            yield [_cells(row) for row in (lines[n - 1], *lines[n + 1 : end])]


def _cells(row: str) -> list[str]:
    return [_words(cell) for cell in re.split(r"(?<!\\)\|", row.strip("|"))]


def _words(text: str) -> str:
    """Without the marks inside of a line; a picture has no words."""
    plain = re.sub(r"\[([^\]]*)\]\([^)\s]+\)", r"\1", re.sub(r"!\[[^\]]*\]\([^)\s]+\)", "", text))
    return " ".join(re.sub(r"\*\*|[*`]", "", plain.replace("\\|", "|")).split())
