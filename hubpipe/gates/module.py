"""All gates that need nothing but files, asked about one module or version."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from hubpipe import errors
from hubpipe.gates import advice, directory, fine_tuning, hermetic, integrity, result, signatures
from hubpipe.store import layout, manifest


def check(
    module_dir: str,
    *,
    against: str | None = None,
    allow_breaking: bool = False,
    oldest_reader: str | None = None,
) -> list[result.Result]:
    """Asks all gates, even if one refuses.

    Args:
        module_dir: any TF1 Hub module; of a version its manifest, twin and golden predictions count, too.
        against: the module that it is to take the place of; None for none.
        allow_breaking: see signatures.check.
        oldest_reader: see hermetic.check.
    Returns:
        An answer of each: format, integrity, hermetic, fine_tuning, signatures, advice.
    Raises:
        ExportError: hubpipe does not know the version `oldest_reader`.
    """
    contents, broken = _manifest(module_dir)
    twin_dir = _if_there(module_dir, layout.TWIN)
    golden_path = _if_there(module_dir, layout.GOLDEN)
    whole = integrity.check(
        module_dir,
        twin_dir,
        files=contents.get("files"),
        not_listed=[manifest.PATH],
        golden_path=golden_path,
        written_with=_tensorflow(contents.get("environment")),
    )
    return [
        directory.check(module_dir, expected=frozenset({layout.TWIN})),
        dataclasses.replace(whole, problems=[*broken, *whole.problems]),
        hermetic.check(module_dir, twin_dir, oldest_reader=oldest_reader, home=os.path.expanduser("~")),
        fine_tuning.check(
            module_dir, twin_dir, golden_path=golden_path, regularizers=contents.get("regularizers")
        ),
        signatures.check(module_dir, against, allow_breaking=allow_breaking),
        advice.check(module_dir),
    ]


def _manifest(module_dir: str) -> tuple[dict[str, Any], list[str]]:
    """The manifest, empty if there is none or a broken one; and what is wrong with it."""
    if _if_there(module_dir, manifest.PATH) is None:
        return {}, []
    try:
        return manifest.read(module_dir), []
    except errors.HubpipeError as error:
        return {}, [str(error)]


def _tensorflow(environment: object) -> str | None:
    """The version that a manifest's environment tells."""
    version = environment.get("tensorflow") if isinstance(environment, Mapping) else None
    return version if isinstance(version, str) else None


def _if_there(module_dir: str, name: str) -> str | None:
    path = os.path.join(module_dir, name)
    return path if os.path.exists(path) else None
