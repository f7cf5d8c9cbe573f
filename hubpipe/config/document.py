"""YAML text to plain values that remember where they were written."""

import dataclasses
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

from hubpipe import errors
from hubpipe.config import scalars

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_VALUES = 10_000  # with aliases expanded: a few lines of nested aliases can stand for billions

Path = tuple[str | int, ...]
Mistake = tuple[Path, str]  # what is wrong with the value at a path, before its place is known


class Place(NamedTuple):
    """Where a value was written.

    Attributes:
        rank: order of report: the line in the file; overrides come after all lines.
        text: "configs/text.yaml:14" or "command line: training.max_steps=abc".
        path: the key that `text` names already, of an override.
    """

    rank: int
    text: str
    path: Path | None = None


class Problem(NamedTuple):
    """Something wrong with the value at a path."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        if not self.path or self.path == self.place.path:
            return f"{self.place.text}: {self.message}"
        return f"{self.place.text}: {key_text(self.path)}: {self.message}"


@dataclasses.dataclass
class Document:
    """Plain values, the places they came from and what was wrong with them.

    Attributes:
        data: nested dicts with str keys, lists, None, bool, int, float and str.
        places: the place of each path of data; () is the file.
        problems: found while reading; a value that was refused is absent from data, of a duplicate key the first
            value is there.
    """

    data: dict[str, Any]
    places: dict[Path, Place]
    problems: list[Problem]

    def place(self, path: Path) -> Place:
        """Where the value at a path, or the nearest section around it, was written."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def problem(self, path: Path, message: str) -> Problem:
        """A problem of the value at a path."""
        return Problem(self.place(path), path, message)


def key_text(path: Path) -> str:
    """A path as users write it: "inputs.train.files[0]"; unusual keys are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(r"[\w-]+", part) else repr(part))
    return text


def read(path: str | os.PathLike) -> Document:
    """Reads a config file; its values are not checked yet.

    Args:
        path: a YAML file in UTF-8, at most MAX_BYTES.
    Returns:
        A Document; duplicate keys, refused tags and the like are among its problems.
    Raises:
        ConfigError: a file that cannot be read, is not YAML or does not hold a mapping.
    """
    name = os.fspath(path)
    reader = _Reader(lambda node: Place(_line(node), f"{name}:{_line(node)}"))
    try:
        node = _compose(_read_text(name))
        if node is None:
            raise errors.ConfigError(
                [f"{name}: the file is empty; expected keys such as name, inputs and model_fn"]
            )
        data = reader.value(node, ())
    except _UnreadableError as error:
        raise errors.ConfigError([f"{name}:{error.line}: {error.message}"]) from None
    if data is _REFUSED:
        raise errors.ConfigError([str(problem) for problem in reader.problems])
    if not isinstance(data, dict):
        got = "a list" if isinstance(data, list) else f"the single value {data!r:.60}"
        raise errors.ConfigError([f"{name}:{_line(node)}: expected keys such as name: docs-text, got {got}"])
    return Document(data, reader.places, reader.problems)


def parse_value(text: str, place: Place) -> tuple[Any, list[Problem]]:
    """Parses one YAML value that does not stand in a file.

    Args:
        text: YAML, e.g. "0.2" or "[64, 64]".
        place: where it was written; place.path is the path of the value.
    Returns:
        The value, of any type of Document.data, and the problems found; with problems the value means nothing.
    """
    reader = _Reader(lambda node: place)
    try:
        node = _compose(text)
        value = reader.value(node, place.path) if node else None
    except _UnreadableError as error:
        return None, [Problem(place, place.path, error.message)]
    return value, reader.problems


class _UnreadableError(Exception):
    """YAML of which nothing can be used."""

    def __init__(self, line: int, message: str):
        self.line = line
        self.message = message
        super().__init__(line, message)


def _read_text(name: str) -> str:
    try:
        with open(name, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise errors.ConfigError([f"{name}: no such file"]) from None
    except IsADirectoryError:
        raise errors.ConfigError([f"{name}: a directory; expected a YAML file"]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise errors.ConfigError([f"{name!r}: cannot be read: {reason}"]) from None
    if len(raw) > MAX_BYTES:
        raise errors.ConfigError([f"{name}: more than {MAX_BYTES} bytes; expected a YAML file of a few kilobytes"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise errors.ConfigError(
            [f"{name}:{line}: not UTF-8: byte 0x{byte:02x}; save the file as UTF-8"]
        ) from None


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=scalars.Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = chr(error.character)
        raise _UnreadableError(line, f"not valid YAML: character {character!r} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(", ".join(part for part in (error.context, error.problem) if part).split())
        advice = "a text with special characters needs quotes"
        raise _UnreadableError(mark.line + 1, f"not valid YAML: {reason} ({advice})") from None
    except RecursionError:
        raise _UnreadableError(1, f"nested deeper than {MAX_DEPTH} levels") from None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _key_problem(node: yaml.Node, lines: dict[str, int]) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        return "a key must be plain text, got a list or mapping"
    if node.value == "<<":
        return "merge keys are not supported; repeat the keys"
    if node.value in lines:
        return f"duplicate key, first on line {lines[node.value]}"
    try:
        scalars.value(node)
    except ValueError as error:
        return str(error)
    return None


_REFUSED = object()


class _Reader:
    """Turns nodes into values, keeping places and problems."""

    def __init__(self, place: Callable[[yaml.Node], Place]):
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self._place = place
        self._around: list[yaml.Node] = []  # the collections being read, to notice one inside itself
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _UnreadableError(_line(node), f"more than {MAX_VALUES} values")
        self.places.setdefault(path, self._place(node))
        if isinstance(node, yaml.ScalarNode):
            try:
                return scalars.value(node)
            except ValueError as error:
                return self._refuse(node, path, str(error))
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            return self._refuse(node, path, scalars.refused_tag(node))
        if node in self._around:
            return self._refuse(node, path, "an alias of a collection inside itself")
        if len(self._around) >= MAX_DEPTH:
            return self._refuse(node, path, f"nested deeper than {MAX_DEPTH} levels")
        self._around.append(node)
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._around.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            here = (*path, key_node.value) if isinstance(key_node, yaml.ScalarNode) else path
            problem = _key_problem(key_node, lines)
            if problem:
                self._refuse(key_node, here, problem)
                continue
            lines[key_node.value] = _line(key_node)
            self.places[here] = self._place(key_node)
            value = self.value(value_node, here)
            if value is not _REFUSED:
                values[key_node.value] = value
        return values

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        values = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return [value for value in values if value is not _REFUSED]

    def _refuse(self, node: yaml.Node, path: Path, message: str) -> object:
        self.problems.append(Problem(self._place(node), path, message))
        return _REFUSED
