"""What Home Assistant's Supervisor and its store would say of the files at the root."""

import re
import struct
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from jkbms_addon import __version__
from jkbms_addon.acquisition.contract import GROUP, Plugin
from jkbms_addon.inverter.options import DETAILS as INVERTER_DETAILS
from jkbms_addon.mqtt.broker import MqttOptions
from jkbms_addon.options.coming_from import GROUPS, SYNONYMS
from jkbms_addon.options.file import (
    DETAILS,
    LOG_LEVELS,
    MQTT,
    PAGE,
    SECTIONS,
    WRITE_LEVELS,
    WRITES,
    Options,
    WriteOptions,
    parse,
)
from jkbms_addon.page.place import PageOptions
from jkbms_addon.views.languages import LANGUAGES as NAMED_IN

ROOT = Path(__file__).parent.parent
LANGUAGES = NAMED_IN  # the form speaks those that the entities speak


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


CONFIG = loaded("config.yaml")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

REQUIRED = {"name", "version", "slug", "description", "arch"}
# every key that the Supervisor knows and that is not deprecated, with its default (... = none)
KNOWN: dict[str, Any] = {
    **dict.fromkeys(REQUIRED, ...),
    "apparmor": True,
    "audio": False,
    "auth_api": False,
    "backup": "hot",
    "backup_exclude": ...,
    "backup_post": ...,
    "backup_pre": ...,
    "boot": "auto",
    "breaking_versions": [],
    "devices": [],
    "devicetree": False,
    "discovery": [],
    "docker_api": False,
    "environment": {},
    "full_access": False,
    "gpio": False,
    "hassio_api": False,
    "hassio_role": "default",
    "homeassistant": ...,
    "homeassistant_api": False,
    "host_dbus": False,
    "host_ipc": False,
    "host_network": False,
    "host_pid": False,
    "host_uts": False,
    "image": ...,
    "ingress": False,
    "ingress_entry": ...,
    "ingress_port": 8099,
    "ingress_stream": False,
    "init": True,
    "journald": False,
    "kernel_modules": False,
    "legacy": False,
    "machine": [],
    "map": [],
    "options": {},
    "panel_admin": True,
    "panel_icon": "mdi:puzzle",
    "panel_title": ...,
    "ports": ...,
    "ports_description": ...,
    "privileged": [],
    "realtime": False,
    "restore_post": ...,
    "restore_pre": ...,
    "schema": {},
    "services": [],
    "stage": "stable",
    "startup": "application",
    "stdin": False,
    "timeout": 10,
    "tmpfs": False,
    "uart": False,
    "udev": False,
    "ulimits": {},
    "url": ...,
    "usb": False,
    "video": False,
    "webui": ...,
}


def test_required_keys_are_there_and_no_others_than_known_ones() -> None:
    assert CONFIG.keys() >= REQUIRED
    assert CONFIG.keys() <= KNOWN.keys()


def test_no_key_repeats_its_default() -> None:
    assert [key for key, value in CONFIG.items() if KNOWN[key] is not ... and KNOWN[key] == value] == []


def test_what_the_manifest_says() -> None:
    assert CONFIG["slug"] == "jkbms"
    assert sorted(CONFIG["arch"]) == ["aarch64", "amd64"]
    assert re.fullmatch(r"[-.A-Za-z0-9]+", CONFIG["slug"])
    assert CONFIG["services"] == ["mqtt:want"]
    assert CONFIG["uart"] is True
    assert re.fullmatch(r"20\d\d\.\d+\.\d+", CONFIG["homeassistant"])
    assert "\n" not in CONFIG["description"]
    assert len(CONFIG["description"]) <= 100


def test_repository() -> None:
    repository = loaded("repository.yaml")
    assert repository["name"]
    assert repository.keys() <= {"name", "url", "maintainer"}


# --- the language of options and schema ----------------------------------------------------------------
ELEMENT = re.compile(
    r"(?P<type>str|password|int|float|bool|port|email|url|device|match|list)(?:\((?P<detail>.*)\))?(?P<optional>\?)?"
)


def faults(schema: Any, value: Any, where: str = "") -> Iterator[str]:
    """What the Supervisor would refuse of a value."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            yield f"{where}: no dictionary"
            return
        yield from (f"{where}.{key}: not in the schema" for key in value.keys() - schema.keys())
        for key, inner in schema.items():
            if key in value:
                yield from faults(inner, value[key], f"{where}.{key}")
            elif not optional(inner):
                yield f"{where}.{key}: missing"
    elif isinstance(schema, list):
        assert len(schema) == 1
        assert not isinstance(schema[0], list), "no list directly in a list"
        if not isinstance(value, list):
            yield f"{where}: no list"
            return
        for number, inner in enumerate(value):
            yield from faults(schema[0], inner, f"{where}[{number}]")
    else:
        yield from scalar_faults(schema, value, where)


def optional(schema: Any) -> bool:
    """A dictionary, or a list of them, never is, whatever it holds."""
    inner = schema[0] if isinstance(schema, list) else schema
    return isinstance(inner, str) and inner.endswith("?")


KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "port": (int,), "float": (int, float), "bool": (bool,)}


def scalar_faults(schema: str, value: Any, where: str) -> Iterator[str]:
    element = ELEMENT.fullmatch(schema)
    assert element, f"{where}: {schema} is no type"
    kind, detail = element["type"], element["detail"] or ""
    if type(value) not in KINDS.get(kind, (str,)):
        yield f"{where}: {value!r} is no {kind}"
    elif kind == "port" and not 0 < value < 65536:
        yield f"{where}: {value} is no port"
    elif kind == "list" and value not in detail.split("|"):
        yield f"{where}: {value!r} is not one of {detail}"
    elif kind == "match" and not re.match(detail, value):
        yield f"{where}: {value!r} does not match {detail}"
    elif kind in ("int", "float") and detail:
        low, high = detail.split(",")
        if (low and value < float(low)) or (high and value > float(high)):
            yield f"{where}: {value} is not within {detail}"


def test_defaults_satisfy_the_schema() -> None:
    assert list(faults(CONFIG["schema"], CONFIG["options"])) == []


@pytest.mark.parametrize(
    "change",
    [
        {"log_level": "loud"},
        {"buses": {}},
        {"buses": [{"strategy": "master"}]},
        {"buses": [{"name": "RS 485", "strategy": "master"}]},
        {"buses": [{"name": "rs485", "strategy": "master", "interval": -1}]},
        {"mqtt": {**CONFIG["options"]["mqtt"], "port": 0}},
        {"buses": [{"name": "rs485", "strategy": "mastr"}]},
        {"writes": {}},
        {"colour": "blue"},
    ],
)
def test_the_checker_refuses(change: dict[str, Any]) -> None:
    assert list(faults(CONFIG["schema"], {**CONFIG["options"], **change}))


def test_every_top_level_option_has_a_default() -> None:
    """Only what is pasted from another app has none, so that it is hidden."""
    assert CONFIG["options"].keys() == CONFIG["schema"].keys() - FLAT


# options of the SmartPhoton app, which are pasted as they are
FLAT = {key for key in CONFIG["schema"] if key.lower() in SYNONYMS}
OWN = {key: kind for key, kind in CONFIG["schema"].items() if key not in FLAT | GROUPS}


# --- the form and the program --------------------------------------------------------------------------
def names(schema: Mapping[Any, Any]) -> set[str]:
    return {str(key) for key in schema}


def fields(options: type[MqttOptions | PageOptions | WriteOptions]) -> set[str]:
    return set(options.__dataclass_fields__) - {"problem"}


def built_in() -> dict[str, Plugin]:
    return {
        point.name: point.load()
        for point in entry_points(group=GROUP)
        if point.module.partition(".")[0] == "jkbms_addon"
    }


def test_the_form_has_the_options_of_the_program() -> None:
    assert (
        names(CONFIG["schema"]) - FLAT - GROUPS - {INVERTER_DETAILS}
        == set(SECTIONS)
        == set(Options.__dataclass_fields__) - {"unusable", "moved"}
    )
    assert CONFIG["schema"]["language"] == f"list({'|'.join(NAMED_IN)})"
    assert CONFIG["schema"]["mqtt"]["detail"] == f"list({'|'.join(DETAILS)})?"
    assert names(CONFIG["schema"]["mqtt"]) == names(MQTT.schema) == fields(MqttOptions)
    assert CONFIG["schema"]["log_level"] == f"list({'|'.join(LOG_LEVELS)})"
    assert names(CONFIG["schema"]["writes"]) == names(WRITES.schema) == fields(WriteOptions)
    assert names(CONFIG["schema"]["page"]) == names(PAGE.schema) == fields(PageOptions) - {"host"}
    assert CONFIG["schema"]["writes"]["level"] == f"list({'|'.join(WRITE_LEVELS)})"


def test_the_form_has_the_options_of_every_strategy() -> None:
    of_strategies = set[str]().union(*(names(plugin.rows) for plugin in built_in().values()))
    assert names(CONFIG["schema"]["buses"][0]) == {"name", "strategy", "plugin"} | of_strategies, (
        "config.yaml, schema: buses: has other options than the strategies"
    )
    offered = CONFIG["schema"]["buses"][0]["strategy"][len("list(") : -1].split("|")
    assert set(offered) == {*built_in(), "plugin"}, "name it in config.yaml, schema: buses: strategy"


def test_what_only_some_strategies_need_is_optional() -> None:
    row = CONFIG["schema"]["buses"][0]
    assert [key for key, kind in row.items() if key not in ("name", "strategy") and not optional(kind)] == []


def test_the_defaults_are_those_of_the_program() -> None:
    options = parse(CONFIG["options"])
    assert [bus.problem for bus in options.buses] == [""]
    assert options.mqtt == MqttOptions()
    assert options.writes == WriteOptions()
    assert options.page == PageOptions()
    assert options.log_level == Options().log_level
    bus = options.buses[0]
    assert bus.plugin is not None
    assert bus.plugin.schema({"port": bus.values["port"]}) == bus.values


# --- texts and pictures --------------------------------------------------------------------------------
def texts(schema: Mapping[str, Any], translation: Mapping[str, Any], where: str) -> Iterator[str]:
    """What is missing or too much in the translation of a schema."""
    yield from (f"{where}.{key}: missing" for key in schema.keys() - translation.keys())
    yield from (f"{where}.{key}: no such option" for key in translation.keys() - schema.keys())
    for key in schema.keys() & translation.keys():
        inner, said = schema[key], translation[key]
        nested = inner[0] if isinstance(inner, list) else inner
        wanted = {"name", "description", "fields"} if isinstance(nested, dict) else {"name", "description"}
        if said.keys() != wanted:
            yield f"{where}.{key}: has {sorted(said)}"
        yield from (f"{where}.{key}.{part}: empty" for part in ("name", "description") if not str(said[part]).strip())
        if isinstance(nested, dict):
            yield from texts(nested, said.get("fields", {}), f"{where}.{key}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_is_explained(language: str) -> None:
    translation = loaded(f"translations/{language}.yaml")
    assert translation.keys() == {"configuration"}
    assert list(texts(CONFIG["schema"], translation["configuration"], language)) == []


def test_no_language_is_left_out_of_this_test() -> None:
    assert sorted(path.stem for path in (ROOT / "translations").iterdir()) == sorted(LANGUAGES)


def png_size(name: str) -> tuple[int, int]:
    head = (ROOT / name).read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_pictures() -> None:
    assert png_size("icon.png") == (128, 128)
    width, height = png_size("logo.png")
    assert 200 <= width <= 300
    assert 80 <= height <= 120


# --- the tree ------------------------------------------------------------------------------------------
LOCAL = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"}


def tree() -> list[PurePosixPath]:
    """Every file that is or may become part of the repository; all of them where git cannot be asked."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [PurePosixPath(path) for path in found if not LOCAL & set(path.parts)]
    return [PurePosixPath(line) for line in listed.stdout.splitlines()]


def links(text: str) -> list[str]:
    """Links and pictures that lead to a file of the project, also as a release has set them."""
    ours = re.compile(r"https://(?:github\.com/[^)\s]*/blob|raw\.githubusercontent\.com/[^)\s]*)/main/")
    found = (ours.sub("", target) for target in re.findall(r"\]\(([^)\s]+)\)", text))
    return [target for target in found if "://" not in target]


def test_the_readme_leads_to_files_that_are_there_and_shows_small_pictures() -> None:
    found = [link.partition("#")[0] for link in links((ROOT / "README.md").read_text(encoding="utf-8"))]
    pictures = [link for link in found if link.endswith(".png")]
    assert pictures
    assert [link for link in found if not (ROOT / link).is_file()] == []
    assert [link for link in pictures if (ROOT / link).stat().st_size > 200_000 or png_size(link)[0] < 400] == []


def test_no_other_file_can_be_taken_for_a_manifest() -> None:
    endings = ("yaml", "yml", "json")
    stray = {f"{name}.{ending}" for name in ("config", "build", "repository") for ending in endings}
    found = {str(path) for path in tree() if path.name.lower() in stray}
    assert found == {"config.yaml", "repository.yaml"}


def test_versions_are_equal() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest, *_ = re.findall(r"^## (\S+)\n\n\d{4}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)
    assert {CONFIG["version"], project["version"], newest} == {__version__}


# --- the image -----------------------------------------------------------------------------------------
def test_requirements_hold_every_dependency_with_hashes_and_no_index() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = {
        found[1]: found[2]
        for found in re.finditer(r"^([a-z0-9-]+)==\S+ \\\n((?:    --hash=.+\n?)+)", text, re.MULTILINE)
    }
    needed = [*project["dependencies"], *project["optional-dependencies"]["ble"]]  # the image has Bluetooth
    wanted = {re.split(r"[<>=]", requirement)[0] for requirement in needed}
    assert wanted <= pinned.keys()
    assert all("--hash=sha256:" in hashes for hashes in pinned.values())
    assert "://" not in text


def test_the_image_gets_what_it_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    sources = {source.removeprefix("./") for line in copied for source in line.split()}
    assert sources == set(allowed)
    assert all((ROOT / source).exists() for source in sources)


def test_scripts_are_executable_and_the_shell_accepts_them() -> None:
    for name, shell in (("run.sh", "sh"), (".ci/run", "bash")):
        assert (ROOT / name).stat().st_mode & 0o111, name
        subprocess.run([shell, "-n", str(ROOT / name)], check=True)
