"""Tests of hubpipe.gates.directory."""

from hubpipe.gates import directory
from tests.gates import modules
from tests.saved_model import modules as saved_modules


def test_what_is_in_a_module(tmp_path):
    module_dir = modules.export(saved_modules.encoder, tmp_path / "m", modules.VARIANTS)
    answer = directory.check(module_dir)
    assert answer.problems == [] and answer.notes == []
    assert answer.confirmed == [
        "TF1 Hub format 3, graph variants [], ['train']",
        "signatures 'default', 'hyperparameters'",
    ]
    assert answer.numbers == {"variants": 2, "signatures": 2, "variables": 2, "assets": 0}


def test_what_is_no_part_of_the_format_is_noted(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    for name in ("tf2", "notes", "assets.extra"):
        (tmp_path / "m" / name).mkdir()
    answer = directory.check(module_dir, expected=frozenset({"tf2"}))
    assert answer.passed
    assert answer.notes == ["files that are no part of the format: notes"]


def test_an_unknown_format(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    (tmp_path / "m" / "tfhub_module.pb").write_bytes(b"\x08\x04")
    (problem,) = directory.check(module_dir).problems
    assert problem == f"{module_dir}/tfhub_module.pb: unsupported format 4, expected 3."


def test_no_module(tmp_path):
    (problem,) = directory.check(str(tmp_path)).problems
    assert problem == f"{tmp_path}: not a TF1 Hub module, it has no tfhub_module.pb."
