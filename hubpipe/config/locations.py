"""Where in the schema a location of pydantic leads."""

import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

import pydantic

from hubpipe.config import document, schema


def locate(loc: tuple[str | int, ...]) -> tuple[document.Path, type[schema.Section], Any]:
    """Follows a location of pydantic through the schema.

    Args:
        loc: as in the errors of a ValidationError of schema.Config.
    Returns:
        The path without the union tags that pydantic puts in, the innermost section around its last key, and
        the annotation at its end (None for an unknown key or below a plain value).
    """
    path, around, annotation = [], schema.Config, schema.Config
    for part in loc:
        union = members(annotation)
        if part in union:
            annotation = union[part]
            continue
        inner = section(annotation)
        if typing.get_origin(_unwrap(annotation)[0]) is dict:  # of names that the user chose
            annotation = typing.get_args(_unwrap(annotation)[0])[1]
        elif inner:
            around = inner
            field = inner.model_fields.get(part)
            annotation = field.annotation if field else None
        path.append(part)
    return tuple(path), around, annotation


def takes_text(path: document.Path) -> bool:
    """Is the value at a path a text, in every kind of section that has the key?"""
    found = [schema.Config]
    for part in path:
        found = [value for annotation in found for value in _below(annotation, part)]
    return bool(found) and all(map(_is_text, found))


def _below(annotation: Any, key: str) -> Iterator[Any]:
    """What the sections and mappings that an annotation allows hold under a key."""
    for inner, _ in _alternatives(annotation):
        if typing.get_origin(inner) is dict:
            yield typing.get_args(inner)[1]
        elif (around := section(inner)) and key in around.model_fields:
            yield around.model_fields[key].annotation


def _is_text(annotation: Any) -> bool:
    """Can a value that is not null be a text, in all alternatives?"""
    alternatives = [(inner, notes) for inner, notes in _alternatives(annotation) if inner is not type(None)]
    return all(inner is str or schema.ONE_AS_LIST in notes or _is_word(inner) for inner, notes in alternatives)


def _is_word(annotation: Any) -> bool:
    words = typing.get_args(annotation)
    return typing.get_origin(annotation) is Literal and all(isinstance(word, str) for word in words)


def _alternatives(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The members of nested unions, each with its notes; an annotation that is no union is its only one."""
    inner, notes = _unwrap(annotation)
    if typing.get_origin(inner) in (typing.Union, types.UnionType):
        for member in typing.get_args(inner):
            yield from _alternatives(member)
    else:
        yield inner, notes


def members(annotation: Any) -> dict[str, Any]:
    """The members of a union by the tag that pydantic knows them by; empty for anything else."""
    annotation, _ = _unwrap(annotation)
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return {}
    return {tag: _unwrap(member)[0] for member in typing.get_args(annotation) for tag in _tags(member)}


def section(annotation: Any) -> type[schema.Section] | None:
    """The section that an annotation such as `Section` or `Section | None` is about."""
    annotation, _ = _unwrap(annotation)
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, schema.Section):
            return candidate
    return None


def _tags(member: Any) -> list[str]:
    inner, notes = _unwrap(member)
    tags = [note.tag for note in notes if isinstance(note, pydantic.Tag)]
    kind = section(inner).model_fields.get("kind") if not tags and section(inner) else None
    return list(typing.get_args(kind.annotation)) if kind else tags


def _unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *metadata = typing.get_args(annotation)
        return inner, tuple(metadata)
    return annotation, ()
