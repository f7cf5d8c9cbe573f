"""The smallest config, as a file to add lines to."""

import pytest

SMALLEST = """\
name: docs
inputs: {kind: text, train: {sample: stdlib_docs}, eval: {sample: stdlib_docs}}
model_fn: {kind: text}
"""


@pytest.fixture
def write_config(tmp_path, monkeypatch):
    """Writes c.yaml (the smallest config and more lines, from line 4 on) in the current directory."""
    monkeypatch.chdir(tmp_path)

    def write(more="", *, text=SMALLEST):
        with open("c.yaml", "w", encoding="utf-8", newline="") as file:
            file.write(text + more)
        return "c.yaml"

    return write
