"""The pages in docs/, and how what they tell users to type is run."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

from tests import forks

ROOT = pathlib.Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: what opens it: "python", "sh exit 2", "yaml mine.yaml".
        text: what is in it.
        lines: of the page before it.
    """

    language: str
    text: str
    lines: int


def blocks(page):
    """The fenced blocks of a page, in order; a block that names no language is not to be there."""
    text = page.read_text(encoding="utf-8")
    found = [Block(match[1], match[2], text.count("\n", 0, match.start(2))) for match in _BLOCK.finditer(text)]
    assert text.count("```") == 2 * len(found)
    return found


def script(page, language):
    """The page with everything but the blocks of a language blanked."""
    lines = [""] * page.read_text(encoding="utf-8").count("\n")
    for block in blocks(page):
        if block.language == language:
            lines[block.lines : block.lines + block.text.count("\n")] = block.text.splitlines()
    return "\n".join(lines) + "\n"


def run(directory, *command, exit_code=0):
    """Runs a command as a user would in that directory, with this environment's programs.

    Returns:
        What it printed, on stderr if it is to fail.
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if command[0] == "python":
        done = forks.run([sys.executable, *command[1:]], cwd=directory, env=environment)
    else:
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)
    assert done.returncode == exit_code, f"{done.stdout}\n{done.stderr}"
    return done.stderr if exit_code else done.stdout


def run_lines(directory, lines, exit_code=0):
    """Runs the lines of a block of sh, of which the last may be to fail; returns what `run` does, of all lines."""
    *commands, last = lines.replace("\\\n", " ").splitlines()
    printed = [run(directory, *_words(command)) for command in commands]
    return "".join([*printed, run(directory, *_words(last), exit_code=exit_code)])


def _words(line):
    """A command's words, those of a shell if it is one for a shell."""
    words = shlex.split(line)
    return ("sh", "-euc", line) if "&&" in words else words
