"""Steps of a release that are more than one line: ``check TAG``, ``image OWNER/NAME``, ``set IMAGE``.

Standard library only, as it runs before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
IMAGE = re.compile(r"[a-z0-9.-]+(?:/[a-z0-9._-]+)+")


def version(root: Path = ROOT) -> str:
    """The version of the package; config.yaml, the changelog and the code have the same, by a test."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def check(tag: str, root: Path = ROOT) -> str:
    """What is wrong with a tag; empty when it is the version."""
    wanted = f"v{version(root)}"
    return "" if tag == wanted else f"the tag is {tag}, the version is {wanted}"


def image(repository: str) -> str:
    """Name of the image of a repository ``owner/name``; registries want lower case."""
    return f"ghcr.io/{repository.lower()}"


def with_image(manifest: str, name: str) -> str:
    """The text of config.yaml with the image set; it stands behind the description, once."""
    if not IMAGE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an image")
    without = re.sub(r"^image: .*\n", "", manifest, flags=re.MULTILINE)
    return re.sub(r"^(description: .*\n)", rf"\1image: {name}\n", without, count=1, flags=re.MULTILINE)


def main(arguments: list[str]) -> int:
    """One step; 0, or 1 with the reason on standard error."""
    match arguments:
        case ["check", tag]:
            problem = check(tag)
            if problem:
                print(problem, file=sys.stderr)
            return int(bool(problem))
        case ["image", repository]:
            print(f"image={image(repository)}")
        case ["set", name]:
            manifest = ROOT / "config.yaml"
            manifest.write_text(with_image(manifest.read_text(encoding="utf-8"), name), encoding="utf-8")
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
