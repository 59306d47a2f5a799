"""Steps of a release: ``check TAG``, ``image OWNER/NAME``, ``set IMAGE``, ``links OWNER/NAME``.

Standard library only, as it runs before anything is installed.
"""

import os
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
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


def with_links(page: str, repository: str) -> str:
    """The text of DOCS.md with links that lead to the manual from inside of Home Assistant, too."""
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} is no repository")
    return re.sub(
        r"\]\((?:https://[^)\s]*/blob/main/)?docs/", f"](https://github.com/{repository}/blob/main/docs/", page
    )


def main(arguments: list[str]) -> int:
    """One step; 0, or 1 with the reason on standard error."""
    match arguments:
        case ["check", tag]:
            problem = check(tag)
            if problem:
                print(problem, file=sys.stderr)
            return int(bool(problem))
        case ["image", repository]:
            print(f"image={image(repository)}\nversion={version()}")
        case ["set", name]:
            manifest = ROOT / "config.yaml"
            manifest.write_text(with_image(manifest.read_text(encoding="utf-8"), name), encoding="utf-8")
        case ["links", repository]:
            page = ROOT / "DOCS.md"
            page.write_text(with_links(page.read_text(encoding="utf-8"), repository), encoding="utf-8")
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


def as_program(steps: Callable[[list[str]], int]) -> int:
    """The exit status with the arguments of the command line; 141 when whoever reads has enough, as with head."""
    try:
        status = steps(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


if __name__ == "__main__":
    sys.exit(as_program(main))
