"""What pydantic found, in the words of a config file."""

import re
import typing
from typing import Any

import pydantic

from hubpipe.config import document, locations, schema, wording

# Keys of regularization that optimizers of TensorFlow and its add-ons have.
_OPTIMIZER_REGULARIZATION = {
    "l1": "l1",
    "l2": "l2",
    "l1_regularization_strength": "l1",
    "l2_regularization_strength": "l2",
    "l2_shrinkage_regularization_strength": "l2",
    "weight_decay": "l2",
    "weight_decay_rate": "l2",
}

_EXPECTED = {
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "string_unicode": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
}

_BOUNDS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}


def explain(error: pydantic.ValidationError) -> list[document.Mistake]:
    """Every mistake of a validation of schema.Config.

    Args:
        error: raised by `schema.Config.model_validate` for plain data.
    Returns:
        list of (path of the key, what is wrong with it and what is accepted).
    """
    mistakes = []
    wrong_kinds = []
    for details in error.errors(include_url=False):
        path, section, annotation = locations.locate(details["loc"])
        if details["type"] == "union_tag_invalid" or (details["type"], path[-1:]) == ("literal_error", ("kind",)):
            path = path if path[-1] == "kind" else (*path, "kind")
            wrong_kinds.append(path[:-1])
        elif details["type"] == "union_tag_not_found" and isinstance(details["input"], dict):
            path = (*path, "kind")
        mistakes.append((path, _message(details, path, section, annotation)))
    # The keys of a section of another kind are not wrong by themselves.
    return [
        (path, message)
        for path, message in mistakes
        if path[-1] == "kind" or not any(path[: len(around)] == around for around in wrong_kinds)
    ]


def _message(details: Any, path: document.Path, section: type[schema.Section], annotation: Any) -> str:
    value, context = details["input"], details.get("ctx", {})
    got = wording.show(value)
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(str(path[-1]), section)
        case "missing" if path[-1] == "kind":
            return f"missing key. {wording.known('kinds', typing.get_args(annotation))}"
        case "missing":
            return f"missing key: {section.model_fields[path[-1]].description}"
        case "union_tag_not_found" if isinstance(value, dict):
            return f"missing key. {wording.known('kinds', locations.members(annotation))}"
        case "union_tag_invalid":
            return _unknown_kind(context["tag"], list(locations.members(annotation)))
        case "literal_error":
            accepted = re.findall(r"'([^']*)'", context["expected"])
            if path[-1] == "kind":
                return _unknown_kind(value, accepted)
            close = wording.suggestion(value, accepted) if isinstance(value, str) else ""
            quote = _quote(got) if str(value) in accepted else ""
            return f"expected {wording.either(accepted)}, got {got}{close}{quote}"
        case "union_tag_not_found" | "model_attributes_type":
            return f"expected keys (kind: {wording.either(list(locations.members(annotation)))}, ...), got {got}"
        case "model_type":
            return f"expected keys ({', '.join(locations.section(annotation).model_fields)}), got {got}"
        case "string_type" if type(value) in (int, float):
            return f"expected text, got {got}{_quote(got)}"
        case "string_pattern_mismatch":
            return f"expected {section.model_fields[path[-1]].description}; got {got}"
        case "too_short":
            return "expected at least one value, got an empty list"
        case "value_error":
            return str(context["error"])
        case kind if kind in _BOUNDS:
            (bound,) = context.values()
            return f"expected a number {_BOUNDS[kind]} {int(bound) if bound == int(bound) else bound}, got {got}"
        case kind:
            return f"expected {_EXPECTED.get(kind, details['msg'])}, got {got}"


def _quote(got: str) -> str:
    """What to do with a text that YAML reads as a number."""
    return f" (quote it: '{got}')"


def _unknown_key(key: str, section: type[schema.Section]) -> str:
    if issubclass(section, schema.OptimizerSection) and key in _OPTIMIZER_REGULARIZATION:
        norm = _OPTIMIZER_REGULARIZATION[key]
        return (
            "not accepted, because regularization inside the optimizer is not exported with the module. "
            f"Use model_fn.regularizers.kernel.{norm} or model_fn.regularizers.embedding.{norm}, in a Keras model "
            "the regularizers of its layers"
        )
    keys = section.model_fields
    return f"unknown key{wording.suggestion(key, keys)}. {wording.known('keys', keys)}"


def _unknown_kind(kind: Any, accepted: list[str]) -> str:
    close = wording.suggestion(kind, accepted) if isinstance(kind, str) else ""
    return f"unknown kind {wording.show(kind)}{close}. {wording.known('kinds', accepted)}"
