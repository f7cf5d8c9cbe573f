"""Where in the schema a location of pydantic leads."""

import types
import typing
from typing import Any

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
