"""A config file and overrides to a checked Config."""

import copy
import itertools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import pydantic

from hubpipe import errors
from hubpipe.config import checks, document, override, problems, schema

# The smallest configs, by kind: values for required keys of a config with problems, while the others are checked.
_STAND_INS = {
    kind: {
        "name": "unnamed",
        "inputs": {"kind": kind, "train": {"sample": sample}, "eval": {"sample": sample}},
        "model_fn": {"kind": kind},
    }
    for kind, sample in (("text", "stdlib_docs"), ("image", "digits"), ("tabular", "unicode"))
}


def load(path: str | os.PathLike, overrides: Sequence[str] = (), *, writes: bool = True) -> schema.Config:
    """Reads, overrides and checks a config; reports every problem at once.

    Args:
        path: a YAML file in UTF-8.
        overrides: each "dotted.key=value" with the value in YAML, as in "model_fn.dropout.rate=0.2".
        writes: whether model_dir and store.dir must be writable.
    Returns:
        The config, with every default filled in.
    Raises:
        ConfigError: its problems are lines "file:line: key: what is wrong", in the order of the file, then
            "command line: key=value: what is wrong".
    """
    source = override.apply(document.read(path), overrides)
    config, found = _validate(source, writes)
    if found:
        found.sort(key=lambda problem: problem.place.rank)
        raise errors.ConfigError([str(problem) for problem in found])
    return config


def name(path: str | os.PathLike, overrides: Sequence[str] = ()) -> str | None:
    """The name of the module in a config that may have mistakes elsewhere; None if it tells none."""
    try:
        found = override.apply(document.read(path), overrides).data.get("name")
    except errors.ConfigError:
        return None
    return found if isinstance(found, str) else None


def _validate(source: document.Document, writes: bool) -> tuple[schema.Config, list[document.Problem]]:
    """The config and all problems; with problems the config holds stand-ins and is of no further use."""
    found = list(source.problems)
    refused = {problem.path for problem in found if not _holds(source.data, problem.path)}
    try:
        config = schema.Config.model_validate(source.data)
    except pydantic.ValidationError as error:
        mistakes = problems.explain(error)
        found += [source.problem(path, message) for path, message in mistakes if path not in refused]
        config = _repaired(source.data, [path for path, _ in mistakes])
    # A section with a problem may mean something else: what it says of others is not judged yet.
    unsure = {path for problem in found for path in (problem.path, problem.path[:-1])}
    mistakes = [*checks.check(config), *(checks.directories(config) if writes else [])]
    found += [source.problem(path, message) for path, message in mistakes if path[:-1] not in unsure]
    return config, found


def _repaired(data: dict[str, Any], wrong: Iterable[document.Path]) -> schema.Config:
    """A config without the wrong keys, so that the checks can judge all the others."""
    data = copy.deepcopy(data)
    stand_in = _stand_in(data)
    while True:
        for path in wrong:
            _repair(data, path, stand_in)
        try:
            return schema.Config.model_validate(data)
        except pydantic.ValidationError as error:
            wrong = [path for path, _ in problems.explain(error)]


def _stand_in(data: dict[str, Any]) -> dict[str, Any]:
    """The smallest config of the kind that a config seems to be meant as."""
    kinds = [section.get("kind") for key in ("inputs", "model_fn") if isinstance(section := data.get(key), dict)]
    return _STAND_INS[next((kind for kind in kinds if isinstance(kind, str) and kind in _STAND_INS), "text")]


def _repair(data: dict[str, Any], path: document.Path, stand_in: dict[str, Any]) -> None:
    """Takes a wrong key out; puts a stand-in where a key is missing, or takes its section out."""
    path = tuple(itertools.takewhile(lambda part: isinstance(part, str), path))
    if _holds(data, path):
        del _section(data, path)[path[-1]]
    elif _holds(stand_in, path):
        _section(data, path)[path[-1]] = copy.deepcopy(_section(stand_in, path)[path[-1]])
    elif _holds(data, path[:-1]):
        _repair(data, path[:-1], stand_in)


def _holds(data: dict[str, Any], path: document.Path) -> bool:
    section = _section(data, path)
    return section is not None and path[-1] in section


def _section(data: dict[str, Any], path: document.Path) -> dict[str, Any] | None:
    """The mapping around the last key of a path."""
    section: Any = data
    for key in path[:-1]:
        section = section.get(key) if isinstance(section, dict) else None
    return section if path and isinstance(section, dict) else None
