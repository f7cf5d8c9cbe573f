"""Is the directory a TF1 Hub module at all? What hub/format.py requires, and what is in the directory."""

import os

import tensorflow as tf

from hubpipe import errors
from hubpipe.gates import result
from hubpipe.hub import format, read

GATE = "format"
_EXTRA_DIRECTORY = "assets.extra"  # for whatever a publisher likes; readers ignore it
_KNOWN = frozenset(
    {
        format.MODULE_FILE,
        format.SAVED_MODEL_FILE,
        format.VARIABLES_DIRECTORY,
        format.ASSETS_DIRECTORY,
        _EXTRA_DIRECTORY,
    }
)


def check(module_dir: str, *, expected: frozenset[str] = frozenset()) -> result.Result:
    """Reads a module as hub.load_module_spec does, and tells what is in it.

    Args:
        module_dir: a directory.
        expected: names in it that the format does not know and that are meant to be there, such as the twin's.
    Returns:
        The gate's answer; its numbers are `variants`, `signatures`, `variables` and `assets`, how many there are.
    """
    try:
        with result.blamed(f"{module_dir} cannot be read"):
            spec = read.load_module_spec(module_dir)
            names = {name.rstrip("/") for name in tf.io.gfile.listdir(module_dir)}
            assets_dir = os.path.join(module_dir, format.ASSETS_DIRECTORY)
            assets = tf.io.gfile.listdir(assets_dir) if tf.io.gfile.isdir(assets_dir) else []
    except errors.HubpipeError as error:
        return result.Result(GATE, [str(error)])
    tag_sets = [sorted(tags) for tags in spec.get_tags()]
    signatures = sorted({name for tags in spec.get_tags() for name in spec.get_signature_names(tags)})
    numbers = {
        "variants": len(tag_sets),
        "signatures": len(signatures),
        "variables": len(spec.variable_shapes()),
        "assets": len(assets),
    }
    confirmed = [
        f"TF1 Hub format {format.FORMAT_V3}, graph variants {', '.join(map(str, tag_sets))}",
        f"signatures {', '.join(map(repr, signatures)) or 'none'}",
    ]
    unknown = sorted(names - _KNOWN - expected)
    notes = [f"files that are no part of the format: {', '.join(unknown)}"] if unknown else []
    return result.Result(GATE, [], notes, numbers, confirmed)
