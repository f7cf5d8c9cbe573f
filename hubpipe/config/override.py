"""`key=value` of the command line, laid over a config file."""

import copy
from collections.abc import Sequence
from typing import Any

from hubpipe.config import document, locations, schema

_AFTER_ALL_LINES = 1 << 32
_YAML_STARTS = ("'", '"', "[", "{")
_NULLS = ("", "~", "null")


def apply(base: document.Document, overrides: Sequence[str]) -> document.Document:
    """Sets keys of a document; of two overrides of one key the last counts.

    Another `kind` replaces its section, and `sample` and `files` replace each other: what the file says there
    is dropped, what other overrides say stays. Of a key whose value is a text, what YAML would read as something
    else, such as 2024, true, | or *.csv, is taken as it is written.

    Args:
        base: as read from a file; not changed.
        overrides: each "dotted.key=value" with the value in YAML, e.g. "model_fn.dropout.rate=0.2".
    Returns:
        A new Document; malformed overrides are among its problems.
    """
    result = document.Document(copy.deepcopy(base.data), dict(base.places), list(base.problems))
    for index, override in enumerate(overrides):
        key, equals, text = override.partition("=")
        path = tuple(key.split("."))
        place = document.Place(_AFTER_ALL_LINES + index, f"command line: {' '.join(override.split())}", path)
        if not equals or not all(path):
            message = "expected key=value with a dotted key, such as training.max_steps=1000"
            result.problems.append(document.Problem(place, path, message))
            continue
        value, problems = document.parse_value(text, place)
        if locations.takes_text(path) and (problems or not _is_meant(value, text)):
            _set(result, path, text, place)
        elif problems:
            result.problems += problems
        else:
            _set(result, path, value, place)
    return result


def _is_meant(value: Any, text: str) -> bool:
    """Is a value that YAML reads what a text was written for, though shells take quotes away?"""
    return value == text.strip() or text.lstrip().startswith(_YAML_STARTS) or text.lower() in _NULLS


def _set(target: document.Document, path: document.Path, value: Any, place: document.Place) -> None:
    section = target.data
    for depth, key in enumerate(path[:-1], start=1):
        if not isinstance(section.get(key), dict):
            section[key] = {}
            _forget_places(target, path[:depth])
            target.places[path[:depth]] = place
        section = section[key]
    around, key = path[:-1], path[-1]
    for other in _replaced(section, key, value):
        if target.place((*around, other)).path is None:  # written in the file
            del section[other]
            _forget_places(target, (*around, other))
            target.places[around] = place
    section[key] = value
    _forget_places(target, path)
    target.places[path] = place


def _forget_places(target: document.Document, path: document.Path) -> None:
    """Forgets where the value at a path, and all below, was written."""
    target.places = {known: place for known, place in target.places.items() if known[: len(path)] != path}


def _replaced(section: dict[str, Any], key: str, value: Any) -> list[str]:
    if key == "kind" and section.get(key, value) != value:
        return [other for other in section if other != key]
    if key in schema.SOURCE_KEYS and value is not None:
        return [other for other in schema.SOURCE_KEYS if other in section and other != key]
    return []
