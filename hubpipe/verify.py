"""Checks any TF1 Hub module, item by item: can it be used, moved, fine-tuned, and put in another's place?

    python -m hubpipe.verify modules/docs-text/7
    python -m hubpipe.verify modules/docs-text/8 --against modules/docs-text/7 --oldest_reader 1.15

Takes a directory, an archive or a URL. Each line is marked: ok, problem (refuses the module), advice (does not),
or note. Exit codes: 0 no problem, 2 wrong usage, or nothing there, 3 a problem.
"""

import dataclasses
import importlib
import json
import textwrap
from collections.abc import Iterator, Sequence

from absl import flags

from hubpipe import cli, errors
from hubpipe.reports import cells

FLAGS = flags.FlagValues()
_AGAINST = flags.DEFINE_string(
    "against", None, "Module that callers use now; its signatures must be kept.", flag_values=FLAGS
)
_OLDEST_READER = flags.DEFINE_string(
    "oldest_reader", None, "Version of TensorFlow that must be able to read it, such as 1.15.", flag_values=FLAGS
)
_JSON = flags.DEFINE_bool("json", False, "Print the answers as one line of JSON.", flag_values=FLAGS)

_GATE_COLUMNS, _MARK_COLUMNS = 12, 8


def main(arguments: Sequence[str]) -> cli.ExitCode:
    """Runs the command.

    Args:
        arguments: the module.
    Returns:
        DONE or REJECTED.
    Raises:
        UsageError: not one module, or an unknown version of TensorFlow.
        HandleError: there is nothing.
    """
    if len(arguments) != 1:
        raise errors.UsageError(f"verify takes one module, got {len(arguments)}: python -m hubpipe.verify DIR")
    importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
    known = importlib.import_module("hubpipe.hub.readers").versions()
    if _OLDEST_READER.value not in (None, *known):
        raise errors.UsageError(f"--oldest_reader={_OLDEST_READER.value}: known are {', '.join(known)}")
    resolve = importlib.import_module("hubpipe.hub.handles.resolver").resolve
    answers = importlib.import_module("hubpipe.gates.module").check(
        resolve(arguments[0]),
        against=resolve(_AGAINST.value) if _AGAINST.value else None,
        oldest_reader=_OLDEST_READER.value,
    )
    passed = all(answer.passed for answer in answers)
    if _JSON.value:
        gates = [{**dataclasses.asdict(answer), "passed": answer.passed} for answer in answers]
        print(json.dumps({"module": arguments[0], "passed": passed, "gates": gates}))
    else:
        print("\n".join(_table(answers)))
    return cli.ExitCode.DONE if passed else cli.ExitCode.REJECTED


def _table(answers: Sequence) -> Iterator[str]:
    """The lines of a report."""
    shown: set[str] = set()
    for answer in answers:
        label = answer.gate
        for mark, text in _items(answer):
            again = mark == "problem" and text in shown
            shown.add(text)
            yield from _lines(label, mark, "as above" if again else text)
            label = ""
    yield ""
    problems = {problem for answer in answers for problem in answer.problems}
    advice = [line for answer in answers for line in answer.advice]
    refusing = ", ".join(answer.gate for answer in answers if not answer.passed)
    yield f"problems {len(problems)}, advice {len(advice)}"
    yield f"refused by {refusing}" if refusing else "passed"


def _items(answer) -> Iterator[tuple[str, str]]:
    """Pairs (mark, text) of a gate's answer."""
    for mark, texts in (
        ("ok", answer.confirmed), ("problem", answer.problems), ("advice", answer.advice), ("note", answer.notes)
    ):
        yield from ((mark, text) for text in texts)


def _lines(label: str, mark: str, text: str) -> Iterator[str]:
    """One item, on as many lines as it takes."""
    indent = " " * (_GATE_COLUMNS + _MARK_COLUMNS)
    wrapped = textwrap.wrap(cells.printable(text), cells.WIDTH - len(indent), break_on_hyphens=False)
    for index, line in enumerate(wrapped):
        yield (f"{label:<{_GATE_COLUMNS}}{mark:<{_MARK_COLUMNS}}" if index == 0 else indent) + line.rstrip()


if __name__ == "__main__":
    cli.run(main, FLAGS)
