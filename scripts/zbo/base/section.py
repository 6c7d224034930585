"""A section of settings: closed, checked when made, and one sentence for what is wrong with it."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from zbo.base.errors import InputError


class Section(BaseModel):
    """A section of a study: closed, unchangeable, checked when made.

    Raises:
        InputError: At the first value that is unknown, missing, ill-typed or out of range, with its
            key and meaning.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        defer_build=True,  # a trial needs three of them
    )
    section: ClassVar[str] = ""  # its name in a study file

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(_explain(error.errors()[0], type(self))) from None


def schema(of: type[Section]) -> dict[str, Any]:
    """Give the JSON schema of a section or a whole study, each part written where it stands."""
    made = of.model_json_schema()
    return _inlined(made, made.pop("$defs", {}))


def _inlined(part: Any, defined: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(item, defined) for item in part]
    if not isinstance(part, dict):
        return part
    part = {key: _inlined(value, defined) for key, value in part.items()}
    if "$ref" in part:
        return _inlined(defined[part.pop("$ref").rpartition("/")[2]], defined) | part
    if isinstance(part.get("description"), str):
        part["description"] = " ".join(part["description"].split())
    if isinstance(part.get("title"), str):
        del part["title"]  # its name once more
    choices = part.pop("anyOf", part.pop("oneOf", None))
    if choices:  # a number or null: one part of several types
        for choice in choices:
            part |= choice
        part["type"] = [choice["type"] for choice in choices]
    return part


_SAID = {
    "greater_than_equal": "{given} is less than the minimum of {ge:g}",
    "greater_than": "{given} is less than or equal to {gt:g}",
    "less_than_equal": "{given} is greater than the maximum of {le:g}",
    "less_than": "{given} is greater than or equal to {lt:g}",
    "literal_error": "{given} is not one of {expected}",
    "string_pattern_mismatch": "{given} does not match {pattern}",
    "too_short": "{given} is too short",
    "too_long": "{given} is too long",
    "finite_number": "has to be a finite number",
    "value_error": "{error}",
}


def _explain(error: ErrorDetails, section: type[Section]) -> str:
    """Say in one line what is wrong with which key, and what the key means."""
    given, context = error["input"], error.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return str(context["error"])  # a section's own
    path: list[int | str] = [section.section] if section.section else []
    part = schema(section)
    for step in error["loc"]:
        if step in part.get("properties", {}):
            path, part = [*path, step], part["properties"][step]
        elif isinstance(step, int) and error["type"] != "finite_number":
            path.append(step)
    key, meaning = ".".join(map(str, path)), part.get("description", "")
    if error["type"] == "extra_forbidden":
        unknown = str(error["loc"][-1])
        close = _closest(unknown, part["properties"])
        at = ".".join(map(str, [*path, unknown]))
        return f"{at}: no such key; {close} (config/schema.yaml lists all)"
    if error["type"] == "missing":
        return f"{key}: has to be given: {meaning}"
    said = _SAID.get(error["type"], "{given} is not of type {types}")
    types = part.get("type", "object")
    said = said.format(
        given=repr(given),
        types=", ".join(map(repr, [types] if isinstance(types, str) else types)),
        **context,
    )
    if error["type"].endswith("_type") and _is_number(given):
        said += "; YAML reads this as text, write the number as 0.001 or 1.0e-3"
    return f"{key}: {said}. {meaning}"


def _is_number(text: Any) -> bool:
    try:
        return isinstance(text, str) and float(text) is not None
    except ValueError:
        return False


def _closest(word: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else f"known here: {', '.join(sorted(known))}"
