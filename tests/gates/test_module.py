"""Tests of hubpipe.gates.module."""

import json
import pathlib

import pytest

from hubpipe.files import digest
from hubpipe.gates import module
from hubpipe.store import layout, manifest
from tests.gates import modules

pytestmark = pytest.mark.usefixtures("in_this_process")

GATES = ["format", "integrity", "hermetic", "fine_tuning", "signatures", "advice"]


def _refusing(answers):
    return [answer.gate for answer in answers if not answer.passed]


def _write_manifest(module_dir, **changes):
    path = pathlib.Path(module_dir) / manifest.PATH
    path.parent.mkdir(parents=True)
    contents = {"format": 1, "version": 1, "files": digest.sha256_tree(module_dir), **changes}
    path.write_text(json.dumps(contents))


def test_a_module_of_anybody(tmp_path):
    answers = module.check(modules.export(modules.plain, tmp_path / "m"), oldest_reader="1.15")
    assert [answer.gate for answer in answers] == GATES
    assert _refusing(answers) == []


def test_what_the_manifest_says_is_asked_for(tmp_path):
    module_dir, _ = modules.export_with_twin(modules.encoder, tmp_path / "m", modules.VARIANTS)
    _write_manifest(module_dir, regularizers={"kernel": {"l1": 1.0, "l2": 0.0}})
    (tmp_path / "m" / "tf2" / "left_over").write_text("")
    answers = module.check(module_dir)
    assert _refusing(answers) == ["integrity", "fine_tuning"]
    assert answers[1].problems == ["tf2/left_over: unexpected"]
    sides = [problem.split(": the regularization of 'kernel' is")[0] for problem in answers[3].problems]
    assert sides == ["hub.Module", "Keras"]


@pytest.mark.parametrize("environment", [None, [], {"tensorflow": 3}])
def test_an_environment_that_is_none(tmp_path, environment):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    _write_manifest(module_dir, environment=environment)
    assert _refusing(module.check(module_dir)) == []


def test_a_manifest_that_is_none(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    _write_manifest(module_dir)
    (tmp_path / "m" / manifest.PATH).write_text("{")
    answers = module.check(module_dir)
    assert _refusing(answers) == ["integrity"]
    assert answers[1].problems[0].startswith(f"{module_dir}/{manifest.PATH}: ")


def test_golden_predictions_of_a_version_are_replayed(tmp_path):
    module_dir = modules.export(modules.plain, tmp_path / "m")
    golden_path = tmp_path / "m" / layout.GOLDEN
    golden_path.parent.mkdir(parents=True)
    golden_path.write_bytes(b"PK")
    answers = module.check(module_dir)
    assert _refusing(answers) == ["integrity", "fine_tuning"]
    for answer in (answers[1], answers[3]):
        assert answer.problems[0].startswith(f"{golden_path}: not an archive of golden values")


def test_all_gates_answer_though_none_can_read_it(tmp_path):
    answers = module.check(str(tmp_path), against=str(tmp_path))
    assert _refusing(answers) == GATES


def test_the_version_before(tmp_path):
    current = modules.export(modules.encoder, tmp_path / "1", modules.VARIANTS)
    candidate = modules.export(modules.plain, tmp_path / "2")
    assert _refusing(module.check(candidate, against=current)) == ["signatures"]
    assert _refusing(module.check(candidate, against=current, allow_breaking=True)) == []
