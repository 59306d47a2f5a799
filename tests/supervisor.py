"""What Home Assistant's Supervisor does with options that are posted, after its ``AppOptions``.

It checks them against the schema of ``config.yaml`` alone: a key that is missing and not optional refuses all of them,
a key that it does not know is dropped with a warning in its own log, and scalars become what the schema says.
"""

from typing import Any

from tests.test_manifest import ELEMENT, optional, scalar_faults

TRUE, FALSE = ("1", "true", "yes", "on", "enable"), ("0", "false", "no", "off", "disable")


def handed_over(schema: dict[str, Any], posted: Any, where: str = "") -> tuple[dict[str, Any], list[str]]:
    """What reaches the program, and why nothing of it does."""
    if not isinstance(posted, dict):
        return {}, [f"{where}: no dictionary"]
    found: dict[str, Any] = {}
    refused = [f"{where}.{key}: missing" for key, kind in schema.items() if key not in posted and not optional(kind)]
    for key in posted.keys() & schema.keys():
        found[key], why = _value(schema[key], posted[key], f"{where}.{key}")
        refused += why
    return found, refused


def _value(schema: Any, value: Any, where: str) -> tuple[Any, list[str]]:
    if isinstance(schema, dict):
        return handed_over(schema, value, where)
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [], [f"{where}: no list"]
        both = [_value(schema[0], one, f"{where}[{n}]") for n, one in enumerate(value)]
        return [one for one, _ in both], [line for _, lines in both for line in lines]
    element = ELEMENT.fullmatch(schema)
    assert element, schema
    made = _made(element["type"], value)
    return made, list(scalar_faults(schema, made, where))


def _made(kind: str, value: Any) -> Any:
    """A scalar as the type that the schema wants, or as it is."""
    if value is None or isinstance(value, dict | list):
        return value
    if kind in ("str", "password", "list"):
        return str(value)
    if kind == "bool" and str(value).lower() in (*TRUE, *FALSE):
        return str(value).lower() in TRUE
    if kind in ("int", "port", "float") and not isinstance(value, bool):
        try:
            return float(value) if kind == "float" else int(value)
        except ValueError:
            return value
    return value
