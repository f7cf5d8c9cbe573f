"""Functions that a config names: the one place where code from outside the package comes in.

Only what trains, retrains or exports calls it; a config that names a function is code.
"""

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from hubpipe import errors
from hubpipe.config import wording

_MAX_REASON = 300  # characters of an exception's message
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def function(path: str, *, key: str) -> Callable[..., Any]:
    """Imports a function, a class or another callable.

    Args:
        path: "package.module:function".
        key: of the config, for messages.
    Raises:
        ConfigError: the module cannot be imported, or has no such function.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise errors.ConfigError(
            [f"{key}: cannot import {module_name!r}: {error}. Install it, or start where it is"]
        ) from error
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        reason = f"{_reason(error)}{_place(error, outside=__file__)}"
        raise errors.ConfigError([f"{key}: cannot import {module_name!r}: {reason}"]) from error
    found = getattr(module, name, None)
    if not callable(found):
        names = sorted(other for other, value in vars(module).items() if inspect.isroutine(value))
        what = f"{name!r} in {module_name!r} is no function" if found is not None else (
            f"no function {name!r} in {module_name!r}{wording.suggestion(name, names)}"
        )
        raise errors.ConfigError([f"{key}: {what}. It has: {', '.join(names) or 'none'}"])
    return found


def check_arguments(
    called: Callable[..., Any], params: Mapping[str, Any], supplied: Collection[str], *, path: str, key: str
) -> None:
    """Checks that a function can be called with some keyword arguments.

    Args:
        called: the function.
        params: those that the config gives.
        supplied: names of those that hubpipe has for a function that takes them.
        path: of the function, for messages.
        key: of `params` in the config, for messages.
    Raises:
        ConfigError: parameters that the function does not know, or that it lacks; all of them.
    """
    parameters = _parameters(called)
    if parameters is None:
        return
    names = [name for name, parameter in parameters.items() if parameter.kind in _BY_NAME]
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    takes = f"{path} takes {', '.join(names) or 'no parameters'}"
    problems = [
        f"{key}.{name}: unknown parameter{wording.suggestion(name, names)}. {takes}"
        for name in params
        if name not in names and not takes_any
    ]
    for name, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            problems.append(f"{key}: {path} takes {name!r} by position; hubpipe passes parameters by name")
        elif parameter.kind in _BY_NAME and name not in params and name not in supplied:
            can_have = f"; from hubpipe it can have {', '.join(sorted(supplied))}" if supplied else ""
            problems.append(f"{key}.{name}: missing, {path} has no default for it{can_have}")
    if problems:
        raise errors.ConfigError(problems)


def check_call(
    called: Callable[..., Any], positional: Sequence[str], params: Mapping[str, Any], *, path: str, key: str
) -> None:
    """Checks that a function can be called with some arguments by position, and with keyword arguments.

    Args:
        called: the function.
        positional: what the arguments by position are, for messages.
        params: keyword arguments that the config gives.
        path: of the function, for messages.
        key: of `params` in the config, for messages.
    Raises:
        ConfigError: it cannot.
    """
    if _parameters(called) is None:
        return
    try:
        inspect.signature(called).bind(*positional, **params)
    except TypeError as error:
        names = ", ".join([*positional, *(f"{name}=..." for name in params)])
        raise errors.ConfigError([f"{key}: {path} cannot be called with ({names}): {error}"]) from error


def arguments(
    called: Callable[..., Any], params: Mapping[str, Any], supplied: Mapping[str, Any], *, path: str, key: str
) -> dict[str, Any]:
    """The keyword arguments of a call: the config's, and of the supplied ones those that the function names.

    Args:
        called: the function.
        params: what the config gives; it wins.
        supplied: what hubpipe has for a function that takes it.
        path: of the function, for messages.
        key: of `params` in the config, for messages.
    Raises:
        ConfigError: see check_arguments.
    """
    check_arguments(called, params, supplied, path=path, key=key)
    return {**{name: value for name, value in supplied.items() if takes(called, name)}, **params}


def takes(called: Callable[..., Any], argument: str) -> bool:
    """True if a function names this keyword argument."""
    parameter = (_parameters(called) or {}).get(argument)
    return parameter is not None and parameter.kind in _BY_NAME


@contextlib.contextmanager
def blamed(path: str, *, key: str) -> Iterator[None]:
    """Blames a function for what goes wrong in a block that calls it and uses what it made.

    Args:
        path: of the function, as it was imported by.
        key: of the config, for messages.
    Raises:
        ConfigError: the block raised; the message is one line, with the line of the function's file.
    """
    try:
        yield
    except (errors.ConfigError, errors.TrainingError, errors.ResourceError, MemoryError):
        raise
    except errors.HubpipeError as error:
        raise errors.ConfigError([f"{key}: {path}: {' '.join(str(error).split())}"]) from error
    except (Exception, SystemExit) as error:
        place = _place(error, inside=sys.modules[path.partition(":")[0]].__file__)
        raise errors.ConfigError([f"{key}: {path}: {_reason(error)}{place}"]) from error


def _parameters(called: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """None for a function of C that does not tell."""
    try:
        return inspect.signature(called).parameters
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= _MAX_REASON else text[:_MAX_REASON] + '...'}"


def _place(error: Exception, *, inside: str | None = None, outside: str | None = None) -> str:
    """Where in somebody's file an exception was raised, or on the way to it; "" if that is not known.

    Args:
        error: with its traceback.
        inside: the file; None for the last that is neither `outside` nor Python's import system.
        outside: a file that is not meant.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if inside is not None:
        own = [frame for frame in frames if frame.filename == inside]
    else:
        own = [frame for frame in frames if frame.filename != outside and "importlib" not in frame.filename]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
