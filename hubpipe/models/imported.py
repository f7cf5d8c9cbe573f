"""Functions that a config names: the one place where code from outside the package comes in."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hubpipe import errors


def function(path: str, *, key: str) -> Callable[..., Any]:
    """Imports a function.

    Args:
        path: "package.module:function".
        key: of the config, for messages.
    Raises:
        ConfigError: there is no such module or function.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise errors.ConfigError(
            [f"{key}: cannot import {module_name!r}: {error}. Install it, or start where it is"]
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        functions = sorted(other for other, value in vars(module).items() if inspect.isfunction(value))
        known = ", ".join(functions)
        raise errors.ConfigError([f"{key}: no function {name!r} in {module_name!r}. It has: {known}"])
    return found


def check_arguments(called: Callable[..., Any], arguments: Mapping[str, Any], *, key: str) -> None:
    """Checks that a function can be called so.

    Args:
        called: the function.
        arguments: its keyword arguments.
        key: of the config, for messages.
    Raises:
        ConfigError: it lacks an argument, or does not know one.
    """
    signature = inspect.signature(called)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise errors.ConfigError([f"{key}: {error}; the function is {called.__name__}{signature}"]) from error


def takes(called: Callable[..., Any], argument: str) -> bool:
    """True if a function names this keyword argument."""
    return argument in inspect.signature(called).parameters
