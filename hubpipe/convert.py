"""Turns a TF1 Hub module into a Reusable SavedModel of TensorFlow 2, and proves that both are the same model.

    python -m hubpipe.convert --module_dir OLD --out NEW

The SavedModel keeps the train variant, update ops, regularization losses, tables, signatures, attached messages.
Exit codes: 0 done, 1 not converted: it would lack something (see --lossy) or differ,
2 wrong usage, no module, or a directory that is taken.
"""

import dataclasses
import importlib
import json
from collections.abc import Sequence

from absl import flags

from hubpipe import cli

FLAGS = flags.FlagValues()
_MODULE_DIR = flags.DEFINE_string(
    "module_dir", None, "The module: directory, archive or URL.", required=True, flag_values=FLAGS
)
_OUT = flags.DEFINE_string(
    "out", None, "Directory of the SavedModel; absent or empty.", required=True, flag_values=FLAGS
)
_LOSSY = flags.DEFINE_bool(
    "lossy", False, "Convert although the SavedModel lacks something of the module.", flag_values=FLAGS
)
_GOLDEN = flags.DEFINE_string(
    "golden", None, "Archive (.npz) of inputs to compare on, arrays inputs/<name>/0.", flag_values=FLAGS
)
_JSON = flags.DEFINE_bool("json", False, "Print the result as one line of JSON.", flag_values=FLAGS)


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: none are accepted.
    Returns:
        DONE.
    Raises:
        HubpipeError: see hubpipe.saved_model.convert.
    """
    cli.refuse(arguments)
    importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
    parity = importlib.import_module("hubpipe.saved_model.parity")
    convert = importlib.import_module("hubpipe.saved_model.convert")
    done = convert.convert(_MODULE_DIR.value, _OUT.value, lossy=_LOSSY.value, golden_path=_GOLDEN.value)
    if _JSON.value:
        print(json.dumps({**dataclasses.asdict(done), "tolerance": parity.TOLERANCE}))
        return cli.ExitCode.DONE
    print(parity.table(done.checks))
    for line in done.lost:
        print(f"lost: {line}")
    print(f"\n{done.path}\n\n    import tensorflow as tf\n    model = tf.saved_model.load({done.path!r})")
    return cli.ExitCode.DONE


if __name__ == "__main__":
    cli.run(main, FLAGS)
