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
# from one file of the repository to another, or as this program has set it before; not within the page
LINK = re.compile(
    r"(?P<mark>!?)\[(?P<words>[^\]]*)\]\("
    r"(?:https://github\.com/[^)\s]*?/blob/main/|https://raw\.githubusercontent\.com/[^)\s]*?/main/)?"
    r"(?P<path>[^#:)\s][^:)\s]*)\)"
)
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
    return _with(manifest, "image", name)


def with_links(page: str, repository: str) -> str:
    """The text of a page with links and pictures that are found from inside of Home Assistant, too."""
    _known(repository)
    ways = {
        "": f"https://github.com/{repository}/blob/main/",
        "!": f"https://raw.githubusercontent.com/{repository}/main/",
    }
    return LINK.sub(lambda found: f"{found['mark']}[{found['words']}]({ways[found['mark']]}{found['path']})", page)


def with_url(manifest: str, repository: str) -> str:
    """The text of config.yaml with the repository as the page of the app; it stands behind the description, once."""
    _known(repository)
    return _with(manifest, "url", f"https://github.com/{repository}")


def _known(repository: str) -> None:
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} is no repository")


def _with(manifest: str, key: str, value: str) -> str:
    without = re.sub(rf"^{key}: .*\n", "", manifest, flags=re.MULTILINE)
    return re.sub(r"^(description: .*\n)", rf"\1{key}: {value}\n", without, count=1, flags=re.MULTILINE)


def _renewed(name: str, change: Callable[[str, str], str], value: str) -> None:
    """A file of the project, changed."""
    path = ROOT / name
    path.write_text(change(path.read_text(encoding="utf-8"), value), encoding="utf-8")


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
            _renewed("config.yaml", with_image, name)
        case ["links", repository]:
            _renewed("config.yaml", with_url, repository)
            for page in ("DOCS.md", "README.md"):
                _renewed(page, with_links, repository)
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
