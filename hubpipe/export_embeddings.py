"""Turns a file of word embeddings into a TF1 Hub module with its TF2 twin, without any training.

    python -m hubpipe.export_embeddings --file glove.6B.300d.txt --module_dir OUT

Reads GloVe, word2vec (text and binary) and fastText's .vec, packed by gzip or not, in bounded memory. Its
signature "default" takes sentences, "tokens" single tokens; the twin is OUT/tf2. Needs the extra `embeddings`.
Exit codes: 0 done, 1 not exported, 2 wrong usage, a file that cannot be read, or a directory that is taken.
"""

import importlib
import json
import os
from collections.abc import Sequence

import tqdm
from absl import flags

from hubpipe import cli, errors
from hubpipe.files import atomic, paths

FLAGS = flags.FlagValues()
_FILE = flags.DEFINE_string("file", None, "The embeddings.", required=True, flag_values=FLAGS)
_MODULE_DIR = flags.DEFINE_string(
    "module_dir", None, "Directory of the module; absent or empty.", required=True, flag_values=FLAGS
)
_FORMAT = flags.DEFINE_enum(
    "format", "auto", ["auto", "text", "binary"], "Kind of the file; auto looks at it.", flag_values=FLAGS
)
_PREPROCESS_TEXT = flags.DEFINE_bool(
    "preprocess_text",
    True,
    "Whether default takes sentences: removes punctuation, splits at spaces, combines by sqrtn. If not, it takes "
    "tokens.",
    flag_values=FLAGS,
)
_LOWERCASE = flags.DEFINE_bool(
    "lowercase", False, "Turn what default takes to lower case, for files that know no other.", flag_values=FLAGS
)
_OOV_BUCKETS = flags.DEFINE_integer(
    "oov_buckets", 1, "Vectors for unknown tokens, zeros until fine-tuned.", lower_bound=0, flag_values=FLAGS
)
_TRAINABLE = flags.DEFINE_bool(
    "trainable", True, "Whether consumers may fine-tune the vectors.", flag_values=FLAGS
)
_BAD_LINES = flags.DEFINE_enum(
    "bad_lines", "error", ["error", "skip"], "What becomes of malformed lines.", flag_values=FLAGS
)
_JSON = flags.DEFINE_bool("json", False, "Print the result as one line of JSON.", flag_values=FLAGS)


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: none are accepted.
    Returns:
        DONE.
    Raises:
        UsageError: the directory is not on a local file system, or the extra `embeddings` is not installed.
        InputError: the file cannot be read; the message names its bad lines.
        ExportExistsError: the directory is not empty; nothing was read.
        ParityError: the module does not give the vectors of the file; nothing was published.
    """
    cli.refuse(arguments)
    target = paths.local(_MODULE_DIR.value)
    if target is None:
        raise errors.UsageError(f"--module_dir={_MODULE_DIR.value}: expected a directory on this machine.")
    result = _export(os.path.abspath(target))
    if _JSON.value:
        print(json.dumps(result))
        return cli.ExitCode.DONE
    for line in result["bad_lines"]:
        print(f"left out: {line}")
    if result["skipped"] > len(result["bad_lines"]):
        print(f"left out: {result['skipped'] - len(result['bad_lines'])} lines more")
    print(
        f"{result['tokens']} tokens, float32 [{result['dim']}] each, {result['oov_buckets']} buckets for others\n"
        f"\n{result['path']}\n\n    from hubpipe import hub\n    module = hub.Module({result['path']!r})"
    )
    return cli.ExitCode.DONE


def _export(target: str) -> dict[str, object]:
    """Writes the module; returns the facts to print."""
    try:
        reader_lib = importlib.import_module("hubpipe.embeddings.reader")
        streaming = importlib.import_module("hubpipe.embeddings.streaming")
    except ModuleNotFoundError as error:
        raise errors.UsageError(f"{error}; install it with: pip install 'hubpipe[embeddings]'") from error
    kind = None if _FORMAT.value == "auto" else _FORMAT.value
    parent, name = os.path.split(target)
    with (
        atomic.publish_dir(target) as staging,
        atomic.staging_dir(parent, f"{name}-values") as values,
        reader_lib.Reader(_FILE.value, kind=kind, skip_bad_lines=_BAD_LINES.value == "skip") as reader,
        tqdm.tqdm(total=reader.size, unit="B", unit_scale=True, desc="read", disable=None) as bar,
        streaming.started(
            reader,
            values,
            variable="embeddings",
            oov_buckets=_OOV_BUCKETS.value,
            progress=lambda position: bar.update(position - bar.n),
        ) as running,
    ):
        importlib.import_module("hubpipe.compat.quiet").import_tensorflow()  # meanwhile the file is read
        module = importlib.import_module("hubpipe.embeddings.module")
        parity = importlib.import_module("hubpipe.saved_model.parity")
        options = module.Options(_OOV_BUCKETS.value, _PREPROCESS_TEXT.value, _LOWERCASE.value, _TRAINABLE.value)
        golden_path = os.path.join(values, "golden.npz")
        checks = module.prove(running.first.result(), golden_path, options)
        stored = running.stored.result()
        lost = module.write_module(stored, staging, options)
        module.add_golden(golden_path, staging)
    return {
        "path": target,
        "kind": reader.kind,
        "tokens": stored.size,
        "dim": reader.dim,
        "oov_buckets": _OOV_BUCKETS.value,
        "skipped": reader.bad.count,
        "bad_lines": reader.bad.shown,
        "lost": lost,
        **parity.summary(checks),
    }


if __name__ == "__main__":
    cli.run(main, FLAGS)
