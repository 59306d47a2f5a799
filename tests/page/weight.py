"""What a browser fetches before it shows anything: derived from the page's own imports."""

import re

from jkbms_addon.page.files import WEB, Files

_IMPORT = re.compile(r'\bfrom\s*"(\.[^"]+)"|\bimport\s*"(\.[^"]+)"')


def modules(start: str = "app.js") -> set[str]:
    """All that a module needs at once, itself included: what it and others import, not what is fetched later."""
    found, waiting = set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for one, other in _IMPORT.findall((WEB / name).read_text(encoding="utf-8")):
            place = (WEB / name).parent / (one or other)
            waiting.append(place.resolve().relative_to(WEB.resolve()).as_posix())
    return found


def first_load(files: Files) -> list[bytes]:
    """The index, its style sheets, the modules, the charts and one language."""
    styles = re.findall(r'stylesheet" href="\./[^/]+/([^"]+)"', files.known["/"].body.decode())
    names = {*modules(), *styles, "vendor/uplot/uPlot.iife.min.js", "i18n/en.json"}
    return [files.known["/"].body, *(files.known[f"/{files.version}/{name}"].body for name in sorted(names))]
