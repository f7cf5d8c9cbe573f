"""The same checkpoint exported by two processes gives the same files."""

import os
import pathlib
import subprocess
import sys

import pytest

_SCRIPT = pathlib.Path(__file__).with_name("reproducible_export.py")


def _export(vocabulary, checkpoint, target, hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run(
        [sys.executable, _SCRIPT, vocabulary, checkpoint, target],
        check=True,
        cwd=_SCRIPT.parents[2],
        env={**environment, "PYTHONPATH": str(_SCRIPT.parents[2])},
    )
    files = sorted(path for path in target.rglob("*") if path.is_file())
    return {str(path.relative_to(target)): path.read_bytes() for path in files}


@pytest.mark.process
def test_two_processes_write_the_same_files(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.txt").write_text("a\nb\nc\n")
    checkpoint = tmp_path / "model.ckpt-1"
    first = _export(tmp_path / "here" / "words.txt", checkpoint, tmp_path / "first", "1")
    second = _export(tmp_path / "there" / "words.txt", checkpoint, tmp_path / "second", "2")
    assert sorted(first) == [
        *("assets/words.txt", "saved_model.pb", "tfhub_module.pb"),
        *("variables/variables.data-00000-of-00001", "variables/variables.index"),
    ]
    assert [name for name in first if first[name] != second[name]] == []
