"""What docs/embeddings.md tells users to type works, on a file of its name."""

import numpy as np
import pytest

from tests.conformance import pages

pytestmark = pytest.mark.process

PAGE = pages.ROOT / "docs" / "embeddings.md"
VECTORS = {"the": [0.5, 1.0], "cat": [1.5, -2.0], "sat": [0.25, 4.0]}


def test_the_page(tmp_path):
    pytest.importorskip("polars", reason="needs polars: pip install 'hubpipe[embeddings]'")
    lines = [" ".join([token, *map(str, vector)]) for token, vector in VECTORS.items()]
    (tmp_path / "glove.6B.300d.txt").write_text("\n".join(lines) + "\n")
    commands, python = pages.blocks(PAGE)
    assert (commands.language, python.language) == ("sh", "python")
    pages.run_lines(tmp_path, commands.text)
    (tmp_path / "embeddings.md").write_text(pages.script(PAGE, "python"), encoding="utf-8")
    shape, vector = pages.run(tmp_path, "python", "embeddings.md").splitlines()
    assert shape == "(2, 2)"
    expected = np.sum(list(VECTORS.values()), axis=0) / np.sqrt(3)
    np.testing.assert_allclose(np.fromstring(vector.strip("[]"), sep=" "), expected, atol=1e-3)
