"""Where rows come from, files or a sample; imports no TensorFlow."""

import dataclasses
import types
from collections.abc import Iterator
from typing import Any

from hubpipe import errors
from hubpipe.files import digest
from hubpipe.inputs import bad_rows, dialects, rows, stdlib_docs

SAMPLES = {"stdlib_docs": stdlib_docs}


@dataclasses.dataclass(frozen=True)
class Files:
    """Rows of data files; the attributes are the arguments of rows.read_rows."""

    paths: tuple[str, ...]
    format: str = "auto"
    text: str = "text"
    text_pair: str | None = None
    label: str = "label"
    columns: tuple[str, ...] | None = None
    weight: str | None = None
    several_labels: bool = False
    dialect: dialects.Dialect = dialects.COMMON

    def rows(self, skipped: bad_rows.Skipped | None = None) -> Iterator[rows.Row]:
        """Streams the rows, see rows.read_rows."""
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return rows.read_rows(options.pop("paths"), **options, skipped=skipped)

    def identity(self) -> dict[str, Any]:
        """Describes what the rows depend on: contents and reading options, not the files' names.

        Returns:
            dict for JSON; equal for equal rows.
        Raises:
            InputError: a file that cannot be read.
        """
        paths = dialects.expand(self.paths)
        formats = [dialects.format_of(path) if self.format == "auto" else self.format for path in paths]
        return {
            "files": [[kind, sha256(path)] for kind, path in zip(formats, paths, strict=True)],
            "text": self.text,
            "text_pair": self.text_pair,
            "label": self.label,
            "columns": self.columns,
            "weight": self.weight,
            "several_labels": self.several_labels,
            "dialect": self.dialect,
        }


@dataclasses.dataclass(frozen=True)
class Sample:
    """Rows of a sample that comes with hubpipe.

    Attributes:
        name: a key of SAMPLES.
        split: "train" or "eval".
        is_pair: whether rows are pairs of texts.
    """

    name: str
    split: str
    is_pair: bool = False

    def rows(self, skipped: bad_rows.Skipped | None = None) -> Iterator[rows.Row]:
        """Yields the rows; a sample has no bad ones, so `skipped` stays as it is."""
        del skipped
        module = self._module()
        return module.read_pairs(self.split) if self.is_pair else module.read_rows(self.split)

    def identity(self) -> dict[str, Any]:
        """Describes what the rows depend on: the files read, and the module that reads them.

        Returns:
            dict for JSON; equal for equal rows.
        Raises:
            InputError: an unknown sample, or one whose files are not there.
        """
        return sample_identity(self.name, self.split, self._module()) | {"is_pair": self.is_pair}

    def _module(self) -> types.ModuleType:
        if self.name not in SAMPLES:
            raise errors.InputError(f"sample {self.name!r} is not one of {', '.join(SAMPLES)}")
        return SAMPLES[self.name]


Source = Files | Sample


def sample_identity(name: str, split: str, module: types.ModuleType) -> dict[str, Any]:
    """Describes what the rows of a sample depend on: the files read, and the module that reads them.

    Returns:
        dict for JSON; equal for equal rows.
    """
    files = (module.__file__, *module.files())
    return {"sample": name, "split": split, "files": [sha256(path) for path in files]}


def sha256(path: str) -> str:
    """The digest of a file, 64 hexadecimal digits.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return digest.sha256_file(path)
    except OSError as error:
        raise errors.InputError(f"{path}: cannot be read ({error.strerror})") from error
