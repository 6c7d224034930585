"""What is made from the settings for people and editors: `python -m zbo.base.manual` writes it.

A test says where one of them is not current.
"""

from typing import Any

import yaml

from zbo.base import config, storage
from zbo.base.section import schema
from zbo.base.settings import Study

SCHEMA_HEAD = """\
# Every key of a study file: type, unit, meaning, default. A key that is not here is refused.
# Made from scripts/zbo/base/settings.py by `python -m zbo.base.manual`: change it there.
# Editors complete study files with it; their first line names it.
"""
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


def main() -> None:
    """Write them all."""
    with storage.whole(config.ROOT / "schema.yaml") as path:
        path.write_text(schema_text())


if __name__ == "__main__":
    main()
