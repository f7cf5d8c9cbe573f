"""Publishes a module as the next version of a store, whole or not at all; without TensorFlow.

    python -m hubpipe.publish --module_dir export/1700000000/encoder --store_dir modules --name docs-text

Takes any TF1 Hub module. What a manifest of hubpipe in it says of its origin goes into the new version's.
Exit codes: 0 done, 1 failed, 2 wrong usage, or nothing there.
"""

import json
import os
import shlex
from collections.abc import Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.files import digest
from hubpipe.reports import facts
from hubpipe.store import manifest, store

# Facts of the job that published a version in its store, which another store's are not.
_OF_A_JOB = ("run_key", "forced")

FLAGS = flags.FlagValues()
_MODULE_DIR = flags.DEFINE_string(
    "module_dir", None, "Directory of the module.", required=True, flag_values=FLAGS
)
_STORE = cli.StoreFlags(FLAGS)
_CURRENT = flags.DEFINE_bool(
    "current", True, "Make it current, unless the current version is pinned.", flag_values=FLAGS
)
_JSON = flags.DEFINE_bool("json", False, "Print the result as one line of JSON.", flag_values=FLAGS)


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: none.
    Raises:
        UsageError: there are arguments.
        HubpipeError: the module is broken, or the store is.
    """
    cli.refuse(arguments)
    module_dir = _MODULE_DIR.value
    if not os.path.isdir(module_dir):
        raise errors.HandleError(f"{module_dir}: no such directory; --module_dir names a module.")
    facts.read_module(module_dir)  # refuses what is no module, under the name that the user knows
    versions = _STORE.versions
    parent = versions.current_number()
    with versions.new_version() as draft:
        draft.take(module_dir)
        # From here on of the copy: what was looked at is what is published.
        draft.describe(**_origin(draft.path))
        draft.describe(name=versions.name, parent=parent, why=_STORE.why)
    number = draft.version.number
    is_current = _CURRENT.value and versions.promote(number, why=_STORE.why)
    if _JSON.value:
        print(json.dumps({"version": number, "path": draft.version.path, "current": versions.current_number()}))
    else:
        print(f"published {draft.version.path}")
        print(f"current   {_current(versions, number, is_current)}")
    return cli.ExitCode.DONE


def _origin(path: str) -> dict:
    """Checks the module; returns what its manifest says of where it comes from."""
    contents = facts.read_module(path).manifest
    if contents is None:
        return {}
    problems = digest.differences(path, contents["files"], exclude=[manifest.PATH])
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise errors.FormatError(f"{_MODULE_DIR.value}: is not what its manifest says: {problems[0]}{more}.")
    return {key: value for key, value in contents.items() if key not in (*manifest.RESERVED, *_OF_A_JOB)}


def _current(versions: store.Store, number: int, is_current: bool) -> str:
    if is_current:
        return str(number)
    current = versions.current_number()
    if not _CURRENT.value:
        return f"{'none' if current is None else current}, as asked for"
    root, name = os.path.split(versions.path)
    command = f"python -m hubpipe.rollback --store_dir {shlex.quote(root)} --name {name} --to {number}"
    return f"{current}, which is pinned; to move on: {command}"


if __name__ == "__main__":
    cli.run(main, FLAGS)
