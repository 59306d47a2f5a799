"""The static files of the page: read once into a dictionary, so that no path of a request ever meets the disk."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).parent / "web"
KINDS: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
SAFETY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
MARK: Final = "@version@"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is answered."""

    body: bytes
    kind: str
    lasting: bool  # whether a browser may keep it; its path changes with its content

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        kept = "public, max-age=31536000, immutable" if self.lasting else "no-store"
        return {"Content-Type": self.kind, "Content-Length": str(len(self.body)), "Cache-Control": kept, **SAFETY}


@dataclass(frozen=True, slots=True)
class Files:
    """Every file by the path of its request; ``version`` is the folder that all but the first are below."""

    version: str
    known: Mapping[str, File]


def load(web: Path = WEB) -> Files:
    """All files below a folder. It blocks."""
    found = {path.relative_to(web).as_posix(): path.read_bytes() for path in sorted(web.rglob("*")) if path.is_file()}
    digest = hashlib.sha256()
    for name, body in found.items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    version = f"v-{digest.hexdigest()[:12]}"
    known = {
        f"/{version}/{name}": File(body, KINDS[Path(name).suffix], lasting=True)
        for name, body in found.items()
        if Path(name).suffix in KINDS and name != "index.html"
    }
    index = found["index.html"].replace(MARK.encode(), version.encode())
    first = File(index, KINDS[".html"], lasting=False)
    return Files(version, {"/": first, "/index.html": first, **known})
