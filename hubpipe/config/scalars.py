"""What a plain word of a config means, alike for reading and writing.

YAML 1.2's core rules, because those of YAML 1.1 surprise: there `1e-6` is a text, `no` and `on` are booleans,
`010` is 8 and `1:30` is 90. Numbers may hold single underscores between digits, as in Python.
"""

import re
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
# tag, pattern, first characters; the first pattern that matches wins.
_RULES = (
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", rf"[-+]?{_DIGITS}\Z", list("-+0123456789")),
    (
        "float",
        rf"(?:[-+]?(?:\.[0-9]+|{_DIGITS}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z",
        list("-+.0123456789"),
    ),
)


class Loader(yaml.SafeLoader):
    """Composes nodes whose plain words follow YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}


class Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.2 or 1.1 would read as something else."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Only between double quotes are all line breaks escaped; elsewhere YAML folds them.
    style = '"' if text.splitlines() != [text] else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


Dumper.add_representer(str, _represent_text)

for _name, _pattern, _first in _RULES:
    Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)
    Dumper.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def value(node: yaml.ScalarNode) -> None | bool | int | float | str:
    """The Python value of a scalar node.

    Args:
        node: composed by Loader.
    Returns:
        None, bool, int, float or str, by the node's tag.
    Raises:
        ValueError: a tag other than YAML's plain ones, or a text that does not fit its tag; the message says
            which.
    """
    text = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind == "str":
        return text
    if kind == "null":
        return None
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    except (KeyError, ValueError):
        raise ValueError(f"expected a plain {kind}, got {text[:60]!r}") from None
    raise ValueError(refused_tag(node))


def refused_tag(node: yaml.Node) -> str:
    """Says that a config holds plain values only."""
    return f"tag {node.tag!r} is not accepted; only text, numbers, true, false, null, lists and mappings are"
