"""What commands share: exit codes, one clear line for a mistake of the user's, the flags that name a module."""

import enum
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from hubpipe import errors
from hubpipe.store import store

_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where in hubpipe an error was found.")


class ExitCode(enum.IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # wrong flags, config or data
    REJECTED = 3  # by a gate
    PREEMPTED = 75  # run it again, it goes on where it was (EX_TEMPFAIL of sysexits.h)


# What the user wrote or points to.
_USAGE_ERRORS = (
    errors.ConfigError,
    errors.InputError,
    errors.HandleError,
    errors.UsageError,
    errors.UnknownVersionError,
    errors.NotAModuleError,
    errors.ExportExistsError,
)


class StoreFlags:
    """The flags of commands that change what a store holds of a module: --store_dir, --name and --why."""

    def __init__(self, command_flags: flags.FlagValues):
        """Adds them to the flags of a command."""
        self._root = flags.DEFINE_string(
            "store_dir", None, "The store.", required=True, flag_values=command_flags
        )
        self._name = flags.DEFINE_string(
            "name", None, "Name of the module in the store.", required=True, flag_values=command_flags
        )
        self._why = flags.DEFINE_string("why", "", "A reason, for the record.", flag_values=command_flags)

    @property
    def versions(self) -> store.Store:
        """The versions of the module.

        Raises:
            UnknownVersionError: it cannot be one's name.
        """
        return store.Store(self._root.value, self._name.value)

    @property
    def why(self) -> str:
        """The reason, "" if none was given."""
        return self._why.value


def run(main: Callable[[Sequence[str]], ExitCode], command_flags: flags.FlagValues) -> None:
    """Parses the command line, calls main with what is not a flag, and exits.

    The user's mistakes and a disk that fails print their message alone, with --traceback the rest; anything else
    is a bug and prints its traceback.

    Args:
        main: the command; takes the arguments that are not flags, returns how it ended.
        command_flags: its flags; not those of the process, which commands that are imported together share.
    """
    flags.FLAGS.append_flag_values(command_flags)
    for name in command_flags:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], command_flags[name])
    command_flags.mark_as_parsed()

    def guarded(argv: Sequence[str]) -> ExitCode:
        logging.set_verbosity(logging.WARNING)
        try:
            return _flushed(main(argv[1:]))
        except (errors.HubpipeError, OSError) as error:
            _show(error)
            return exit_code(error)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to go on", file=sys.stderr)
            return ExitCode.PREEMPTED

    app.run(guarded, flags_parser=_parse)


def exit_code(error: Exception) -> ExitCode:
    """How a command ends that an error of the user's, or of the disk, has stopped."""
    return ExitCode.USAGE if isinstance(error, _USAGE_ERRORS) else ExitCode.FAILED


def refuse(arguments: Sequence[str]) -> None:
    """Refuses arguments that are not flags, for commands that take none.

    Raises:
        UsageError: there are some.
    """
    if arguments:
        raise errors.UsageError(
            f"unexpected arguments: {' '.join(arguments)}\nTry: python -m {_module()} --help"
        )


def _flushed(code: ExitCode) -> ExitCode:
    """The code, with the output written; nobody need read it: `head` has seen enough at some time."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _show(error: Exception) -> None:
    if _TRACEBACK.value:
        traceback.print_exception(error)
    else:
        print(error, file=sys.stderr)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except SystemExit:  # --help and its like, after which absl exits with 1
        sys.exit(ExitCode.DONE)
    except flags.Error as error:
        print(f"{error}\nTry: python -m {_module()} --help", file=sys.stderr)
        sys.exit(ExitCode.USAGE)


def _module() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else "hubpipe"
