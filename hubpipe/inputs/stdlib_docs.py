"""The sample `stdlib_docs`: docstrings of Python's own standard library; imports no TensorFlow.

Each row is a paragraph of a docstring, labelled with the package or module it comes from; or a pair of paragraphs,
labelled with whether both come from the same. The source files of the
running Python are read with `ast`; nothing in them is imported. Python 3.10 to 3.13 have 4400 to 4600 rows each,
most of them in common.
"""

import ast
import functools
import hashlib
import os
import re
import sysconfig
from collections.abc import Iterator

from hubpipe import errors
from hubpipe.inputs import rows

SPLITS = ("train", "eval")
SAME, OTHER = "same", "other"

# label -> folder or file. Each has 94 to 600 paragraphs on Python 3.10 to 3.13 and is installed wherever Python
# is: Linux distributions leave out tkinter, idlelib, distutils and the tests.
_SOURCES = {
    "asyncio": "asyncio",
    "decimal": "_pydecimal.py",
    "difflib": "difflib.py",
    "doctest": "doctest.py",
    "email": "email",
    "http": "http",
    "importlib": "importlib",
    "inspect": "inspect.py",
    "ipaddress": "ipaddress.py",
    "logging": "logging",
    "mailbox": "mailbox.py",
    "multiprocessing": "multiprocessing",
    "threading": "threading.py",
    "typing": "typing.py",
    "unittest": "unittest",
    "urllib": "urllib",
    "xml": "xml",
}
_TEST_FOLDERS = {"test", "tests"}
_MIN_WORDS = 6  # shorter paragraphs are mostly signatures and headings
_MAX_WORDS = 200
_EVAL_SHARE = 0.2
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def files() -> list[str]:
    """Lists the source files that the sample is read from, in the order they are read.

    Raises:
        InputError: a package of the sample is not in this Python's standard library.
    """
    return [path for label in _SOURCES for path in _files(label)]


def read_rows(split: str) -> Iterator[rows.Row]:
    """Yields the sample's rows, always in the same order.

    A paragraph is in the same split wherever and whenever it is found; about a fifth are in "eval".

    Args:
        split: "train" or "eval".
    Yields:
        Row; its path and line are where the docstring starts.
    Raises:
        InputError: a package of the sample is not in this Python's standard library.
        ValueError: an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    return (row for row in _all_rows() if _split(row.text) == split)


def read_pairs(split: str) -> Iterator[rows.Row]:
    """Yields the sample's pairs, always in the same order: each paragraph with two others of its split.

    One is of the same label, and the pair's label SAME; the other is of another label, and the pair's OTHER.

    Args:
        split: "train" or "eval".
    Yields:
        Row with a text_pair; its path and line are where the docstring of its text starts.
    Raises:
        InputError: a package of the sample is not in this Python's standard library.
        ValueError: an unknown split.
    """
    texts: dict[str, list[str]] = {}
    for row in read_rows(split):
        texts.setdefault(row.label, []).append(row.text)
    others = {
        label: [text for other in texts if other != label for text in texts[other]] for label in texts
    }
    for row in read_rows(split):
        number, own = _number(row.text), texts[row.label]
        distance = 1 + number % (len(own) - 1)
        same = own[(own.index(row.text) + distance) % len(own)]
        yield row._replace(label=SAME, text_pair=same)
        yield row._replace(label=OTHER, text_pair=others[row.label][number % len(others[row.label])])


@functools.cache
def _all_rows() -> tuple[rows.Row, ...]:
    """Every paragraph once, 2 MB: kept because training and evaluation read it, and parsing takes seconds."""
    found = {}
    for label in _SOURCES:
        for path in _files(label):
            for text, line in _paragraphs(path):
                found.setdefault(text, rows.Row(text, label, path, line))
    return tuple(found.values())


def _files(label: str) -> list[str]:
    path = os.path.join(sysconfig.get_path("stdlib"), _SOURCES[label])
    if os.path.isfile(path):
        return [path]
    found = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(set(subfolders) - _TEST_FOLDERS)
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    if not found:
        raise errors.InputError(
            f"{path}: not there; the sample stdlib_docs needs the source files of Python's standard library"
        )
    return found


def _paragraphs(path: str) -> Iterator[tuple[str, int]]:
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), path)
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, _DOCUMENTED) else None
        if docstring is None:
            continue
        for paragraph in re.split(r"\n\s*\n", docstring):
            text = _prose(paragraph)
            if _MIN_WORDS <= len(re.findall(r"[^\W\d_]+", text)) <= _MAX_WORDS:
                yield text, node.body[0].lineno


def _prose(paragraph: str) -> str:
    """The paragraph as one line, up to its first interactive example and without rules like ----."""
    words = paragraph.split(">>>")[0].split()
    return " ".join(word for word in words if not re.fullmatch(r"([-=~*#+_.])\1{2,}", word))


def _split(text: str) -> str:
    return "eval" if _number(text) < _EVAL_SHARE * 2**64 else "train"


def _number(text: str) -> int:
    """A number of 64 bits that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
