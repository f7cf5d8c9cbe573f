"""What docs/own_code.md tells users to type works, block after block, in one directory that is empty before.

A block that names a file is written to it; `sh` is run, and `sh exit 2` fails and says the `text` after it. What
needs Keras 2 is run where there is one.
"""

import pytest

from hubpipe.store import store
from tests import needs
from tests.conformance import pages

pytestmark = pytest.mark.process

PAGE = pages.ROOT / "docs" / "own_code.md"
KERAS = "sh keras 2"


def test_the_page(tmp_path):
    said = ""
    counts = dict.fromkeys(("python", "yaml", "sh", "text"), 0)
    for block in pages.blocks(PAGE):
        if block.language == KERAS:
            continue
        kind, _, rest = block.language.partition(" ")
        counts[kind] += 1
        if kind in ("python", "yaml"):
            (tmp_path / rest).write_text(block.text, encoding="utf-8")
        elif kind == "sh":
            exit_code = int(rest.removeprefix("exit ")) if rest else 0
            said = pages.run_lines(tmp_path, block.text, exit_code=exit_code)
        else:
            assert said == block.text
    assert counts == {"python": 3, "yaml": 3, "sh": 4, "text": 1}
    (version,) = store.Store(tmp_path / "modules", "own").versions()
    assert "agreement" in version.manifest()["metrics"]
    assert store.Store(tmp_path / "modules", "onmine").versions()


def test_layers_of_keras(tmp_path):
    needs.keras_2()
    for block in pages.blocks(PAGE):
        kind, _, name = block.language.partition(" ")
        if kind in ("python", "yaml"):
            (tmp_path / name).write_text(block.text, encoding="utf-8")
    (commands,) = [block.text for block in pages.blocks(PAGE) if block.language == KERAS]
    said = pages.run_lines(tmp_path, commands)
    assert "3 steps train 4 variables, update ops move 2; 1 loss" in " ".join(said.split())
