"""Which English text each translation was made from: ``python -m tests.translated [LANGUAGE …]`` says it was looked at.

Without a language it prints what has changed since.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent / "translations"
KEPT = Path(__file__).parent / "translated.json"


def texts(fields: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of every name and description."""
    for key, said in fields.items():
        path = f"{before}{key}"
        yield from ((f"{path}.{part}", " ".join(str(said[part]).split())) for part in ("name", "description"))
        yield from texts(said.get("fields", {}), f"{path}.")


def english() -> dict[str, str]:
    """A short hash of every English text."""
    content = yaml.safe_load((FOLDER / "en.yaml").read_text(encoding="utf-8"))["configuration"]
    return {path: sha256(text.encode()).hexdigest()[:12] for path, text in texts(content)}


def languages() -> list[str]:
    """All others."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "en")


def behind(language: str) -> list[str]:
    """Texts whose English has changed since the translation was looked at."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")).get(language, {})
    return [path for path, known in english().items() if kept.get(path) != known]


def main() -> None:
    """Say what is behind, or that languages were looked at."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for language in sys.argv[1:]:
        kept[language] = english()
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for language in languages():
        print(f"{language}: {', '.join(behind(language)) or 'nothing is behind'}")


if __name__ == "__main__":
    main()
