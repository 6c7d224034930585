"""What is made from the settings for people and editors: `python -m zbo.base.manual` writes it.

A test says where one of them is not current.
"""

import json
from typing import Any

import yaml

from zbo.base import config, files, storage
from zbo.base.section import schema
from zbo.base.settings import Study

SCHEMA_HEAD = """\
# Every key of a study file: type, unit, meaning, default. A key that is not here is refused.
# Made from scripts/zbo/base/settings.py by `python -m zbo.base.manual`: change it there.
# Editors complete study files with it; their first line names it.
"""
MARK = "<!-- below: made by python -m zbo.base.manual from settings.py and files.py beside it -->"
REDUCED = """
The keys that differ at the reduced scale, where study NAME-reduced is NAME with these laid over (a
list is one value)."""


def schema_text() -> str:
    """Write the schema of a study file: that of a study, and once more what `reduced` may hold."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema(Study)
    whole["properties"]["reduced"] = _reduced(whole["properties"])
    text = yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return SCHEMA_HEAD + text


def _reduced(properties: dict[str, Any]) -> dict[str, Any]:
    """Let any key stand in `reduced`, none be required; the same objects, so YAML points."""
    parts = {
        name: {key: value for key, value in part.items() if key != "required"}
        for name, part in properties.items()
    }
    shape = {"type": "object", "additionalProperties": False, "properties": parts}
    return {"description": " ".join(REDUCED.split()), **shape}


class _Dumper(yaml.SafeDumper):
    """Lists of plain values in one line; indented ones as people write them."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)

    def represent_sequence(self, tag, sequence, flow_style=None):
        plain = not any(isinstance(item, dict | list) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=plain or flow_style)


def readme_text() -> str:
    """Write config/README.md: what people wrote as it is, and below the mark both tables."""
    by_hand = (config.ROOT / "README.md").read_text().partition(MARK)[0]
    return by_hand + MARK + "\n\n" + _keys() + "\n" + _files()


def _keys() -> str:
    lines = ["## Every key", ""]
    whole = schema(Study)
    plain = {"": whole | {"properties": {}}}
    for name, part in whole["properties"].items():
        if "properties" in part:
            plain[name] = part
        else:
            plain[""]["properties"][name] = part
    for name, part in plain.items():
        lines += _section(name, part)
    return "\n".join(lines)


def _section(name: str, part: dict[str, Any]) -> list[str]:
    """Write the table of a section, and of those within it."""
    own = config.OF_FILES.get(name, {})
    lines = [f"### `{name}`" if name else "### The study itself", "", part["description"], ""]
    lines += ["| key | values | default | meaning |", "| --- | --- | --- | --- |"]
    within = []
    for key, about in part["properties"].items():
        needed = key in part.get("required", [])
        default = "has to be given" if needed else f"`{json.dumps(about['default'])}`"
        if key in own:
            default += f"; of your own images `{json.dumps(own[key])}`"
        lines.append(_row(f"`{key}`", _values(about), default, about["description"]))
        if "properties" in about:
            within += _section(f"{name}.{key}", about)
    return [*lines, "", *within]


def _values(about: dict[str, Any]) -> str:
    """Say in words what a key may hold."""
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    types = about["type"] if isinstance(about["type"], list) else [about["type"]]
    said = []
    for each in types:
        if each == "array":
            ends = about.get("minItems"), about.get("maxItems")
            many = f"{ends[0]} " if ends[0] == ends[1] and ends[0] else ""
            items = _values(about["items"])
            for word in ("integer", "number", "string"):
                items = items.replace(word, f"{word}s")
            said.append(f"list of {many}{items}")
        else:
            said.append("null" if each == "null" else each + _limits(about, each))
    return " or ".join(said)


def _limits(about: dict[str, Any], kind: str) -> str:
    if kind not in ("integer", "number"):
        return ""
    words = {
        "minimum": "from",
        "exclusiveMinimum": "above",
        "maximum": "to",
        "exclusiveMaximum": "below",
    }
    return "".join(f" {word} {about[key]:g}" for key, word in words.items() if key in about)


def _files() -> str:
    lines = [
        "## What each file of results/NAME holds",
        "",
    ]
    for path, (text, columns) in files.TABLES.items():
        lines += [f"### `{path}`", "", text, "", "| column | meaning |", "| --- | --- |"]
        lines += [_row(f"`{column}`", about) for column, about in columns.items()]
        lines.append("")
    lines += [
        "The rest is HDF5. Read it with `zbo.base.storage.read(path, kind=...)` or any viewer,",
        "which shows the same words. A dimension in brackets is there where β_d is searched, too.",
        "",
    ]
    for name, kind in files.KINDS.items():
        lines += [f"### `{kind.path}`", "", f"{kind.text} Its kind is `{name}`.", ""]
        lines += ["| dataset | dimensions | unit | meaning |", "| --- | --- | --- | --- |"]
        for dataset, about in kind.datasets.items():
            lines.append(_row(f"`{dataset}`", about.dims or "one value", about.unit, about.text))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write them all."""
    with storage.whole(config.ROOT / "README.md") as path:
        path.write_text(readme_text())
    with storage.whole(config.ROOT / "schema.yaml") as path:
        path.write_text(schema_text())


if __name__ == "__main__":
    main()
