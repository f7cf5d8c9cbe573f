"""Tests of hubpipe.exporters.best."""

import contextlib
import functools
import json
import math
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors, exporters, hub
from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import best, select
from hubpipe.store import store
from tests.exporters import linear


def create_exporter(metric="accuracy", higher_is_better=True, **options):
    return exporters.BestModuleExporter("best", linear.serving_input_fn, metric, higher_is_better, **options)


def offer(exporter, estimator, path, step, value, **metrics):
    """What an evaluator does with a checkpoint."""
    eval_result = {"accuracy": np.float32(value), "global_step": step, **metrics}
    return exporter.export(estimator, str(path), linear.checkpoint(estimator, step), eval_result, False)


def record_on_disk(path):
    return select.read(str(path / best.RECORD_FILE))


def problems(path, names=("linear",)):
    """What must never be found in an export path, whatever happened."""
    found = []
    record = record_on_disk(path) if (path / best.RECORD_FILE).exists() else None
    for name in names:
        versions = store.Store(path, name).versions()
        found += [f"{version.path}: {line}" for version in versions for line in version.problems()]
        if record and record.best and record.best.versions[name] not in [version.number for version in versions]:
            found.append(f"best.json points to {record.best.versions}")
    return found


def test_versions_of_the_best_alone(trained, tmp_path):
    exporter = create_exporter()
    values = [0.5, 0.4, 0.5, 0.6]
    paths = [offer(exporter, trained, tmp_path, step, value) for step, value in enumerate(values, start=1)]
    assert paths == [str(tmp_path / "linear" / "1"), None, None, str(tmp_path / "linear" / "2")]
    record = record_on_disk(tmp_path)
    assert (record.best.step, record.best.versions) == (4, {"linear": 2})
    assert [item.value for item in record.history] == pytest.approx(values)
    assert store.Store(tmp_path, "linear").current_number() == 2
    found = tf.train.load_variable(hub.load_module_spec(paths[3]).checkpoint_path, "w")
    np.testing.assert_array_equal(found, tf.train.load_variable(linear.checkpoint(trained, 4), "linear/w"))
    assert problems(tmp_path) == []


def test_the_manifest_tells_where_a_version_comes_from(trained, tmp_path):
    exporter = create_exporter(
        manifest={"seed": 7, "step": "overruled"}, extra_files={"config.yaml": b"name: linear\n"}
    )
    offer(exporter, trained, tmp_path, 1, 0.5)
    path = offer(exporter, trained, tmp_path, 2, 0.75, loss=math.nan, note=b"text")
    manifest = store.Store(tmp_path, "linear").version(2).manifest()
    keys = ("name", "seed", "step", "parent", "selection", "metrics", "checkpoint", "oldest_reader")
    assert {key: manifest[key] for key in keys} == {
        "name": "linear",
        "seed": 7,
        "step": 2,
        "parent": 1,
        "selection": {"metric": "accuracy", "higher_is_better": True, "value": 0.75},
        "metrics": {"accuracy": 0.75, "loss": None, "note": None},
        "checkpoint": best.checkpoint_digest(linear.checkpoint(trained, 2)),
        "oldest_reader": "1.15",
    }
    assert manifest["run_id"] == record_on_disk(tmp_path).run_id
    with open(os.path.join(path, "assets.extra", "hubpipe", "config.yaml"), "rb") as file:
        assert file.read() == b"name: linear\n"


def test_lower_may_be_better(trained, tmp_path):
    exporter = create_exporter(higher_is_better=False)
    paths = [offer(exporter, trained, tmp_path, step, value) for step, value in ((1, 0.5), (2, 0.6), (3, 0.4))]
    assert [bool(path) for path in paths] == [True, False, True]


def test_what_is_not_finite_is_recorded_and_not_exported(trained, tmp_path):
    exporter = create_exporter()
    assert offer(exporter, trained, tmp_path, 1, math.nan) is None
    assert offer(exporter, trained, tmp_path, 2, math.inf) is None
    assert offer(exporter, trained, tmp_path, 3, -5.0) is not None
    assert [item.step for item in record_on_disk(tmp_path).history] == [1, 2, 3]


def test_min_improvement(trained, tmp_path):
    exporter = create_exporter(min_improvement=0.1)
    paths = [offer(exporter, trained, tmp_path, step, value) for step, value in ((1, 0.5), (2, 0.58), (3, 0.65))]
    assert [bool(path) for path in paths] == [True, False, True]


def test_a_new_process_goes_on_from_the_record(trained, tmp_path):
    offer(create_exporter(), trained, tmp_path, 1, 0.5)
    offer(create_exporter(), trained, tmp_path, 2, 0.7)
    assert offer(create_exporter(), trained, tmp_path, 2, 0.7) is None
    assert offer(create_exporter(), trained, tmp_path, 3, 0.6) is None
    assert offer(create_exporter(), trained, tmp_path, 1, 0.9) is None  # that very checkpoint was evaluated before
    assert len(store.Store(tmp_path, "linear").versions()) == 2


def test_a_rollback_forgets_what_came_later(trained, tmp_path):
    exporter = create_exporter()
    for step, value in ((1, 0.5), (2, 0.6), (4, 0.9)):
        offer(exporter, trained, tmp_path, step, value)
    assert offer(create_exporter(), trained, tmp_path, 3, 0.7) == str(tmp_path / "linear" / "4")
    assert [item.step for item in record_on_disk(tmp_path).history] == [1, 2, 3]


def test_old_versions_go_but_the_best_and_the_current_stay(trained, tmp_path):
    exporter = create_exporter(exports_to_keep=1)
    versions = store.Store(tmp_path, "linear")
    for step in (1, 2, 3):
        offer(exporter, trained, tmp_path, step, step / 10)
    assert [version.number for version in versions.versions()] == [3]
    offer(exporter, trained, tmp_path, 4, 0.1)
    with versions.new_version() as draft:
        pathlib.Path(draft.path, "tfhub_module.pb").touch()
    offer(exporter, trained, tmp_path, 5, 0.1)
    assert [version.number for version in versions.versions()] == [3, 4]


def test_versions_may_go_elsewhere(trained, tmp_path):
    exporter = create_exporter(store_dir=str(tmp_path / "store"))
    path = offer(exporter, trained, tmp_path / "export", 1, 0.5)
    assert path == str(tmp_path / "store" / "linear" / "1")
    assert os.listdir(tmp_path / "export") == [best.RECORD_FILE]


def test_a_best_that_was_deleted_by_hand_gives_way_to_the_one_before(trained, tmp_path):
    exporter = create_exporter()
    for step, value in ((1, 0.5), (2, 0.6)):
        offer(exporter, trained, tmp_path, step, value)
    shutil.rmtree(tmp_path / "linear" / "2")
    record = create_exporter().record(trained, str(tmp_path))
    assert record.best.versions == {"linear": 1}
    assert record_on_disk(tmp_path) == record
    assert store.Store(tmp_path, "linear").current_number() == 1
    assert offer(create_exporter(), trained, tmp_path, 3, 0.55) == str(tmp_path / "linear" / "3")


def test_versions_of_others_are_left_alone(trained, tmp_path):
    (tmp_path / "linear" / "7").mkdir(parents=True)
    exporter = create_exporter()
    assert offer(exporter, trained, tmp_path, 1, 0.5) == str(tmp_path / "linear" / "8")
    assert create_exporter().record(trained, str(tmp_path)).best.versions == {"linear": 8}


def test_nothing_registered_is_an_error(tmp_path):
    estimator = linear.create_estimator(tmp_path / "model", names=())
    estimator.train(linear.input_fn, max_steps=1)
    with pytest.raises(errors.ExportError, match="'best': the model_fn registered no module"):
        offer(create_exporter(), estimator, tmp_path / "export", 1, 0.5)
    assert not (tmp_path / "export").exists()


def test_a_metric_that_is_not_there_is_an_error(trained, tmp_path):
    with pytest.raises(errors.ExportError, match="no metric 'f1'; it has accuracy"):
        offer(create_exporter("f1"), trained, tmp_path, 1, 0.5)


def test_another_metric_needs_another_record(trained, tmp_path):
    offer(create_exporter(), trained, tmp_path, 1, 0.5)
    with pytest.raises(errors.ExportError) as error:
        offer(create_exporter(higher_is_better=False), trained, tmp_path, 2, 0.5)
    assert str(error.value).startswith(
        f"{tmp_path}/best.json: selects by 'accuracy' (higher_is_better=True), "
        "not by 'accuracy' (higher_is_better=False)."
    )


def test_a_broken_record_is_not_overwritten(trained, tmp_path):
    (tmp_path / best.RECORD_FILE).write_text("{")
    with pytest.raises(errors.FormatError, match=re.escape(f"{tmp_path}/best.json")):
        offer(create_exporter(), trained, tmp_path, 1, 0.5)
    assert (tmp_path / best.RECORD_FILE).read_text() == "{"


def test_a_remote_export_path_is_refused(trained):
    with pytest.raises(errors.ExportError, match="ram://x: BestModuleExporter keeps best.json on a local"):
        offer(create_exporter(), trained, "ram://x", 1, 0.5)


@pytest.mark.parametrize("number", [0, -3])
def test_exports_to_keep_is_positive(number):
    with pytest.raises(errors.ExportError, match=f"must be a positive number; got {number}"):
        create_exporter(exports_to_keep=number)


def train_and_evaluate(estimator, exporter, max_steps):
    tf_estimator.train_and_evaluate(
        estimator,
        tf_estimator.TrainSpec(linear.input_fn, max_steps=max_steps),
        tf_estimator.EvalSpec(linear.input_fn, steps=1, exporters=[exporter], start_delay_secs=0, throttle_secs=0),
    )


def test_in_a_stock_train_and_evaluate(tmp_path):
    def run(max_steps):
        estimator = linear.create_estimator(tmp_path, best_step=3)
        train_and_evaluate(estimator, create_exporter("distance", False), max_steps)
        export_path = tmp_path / "export" / "best"
        assert problems(export_path) == []
        record = record_on_disk(export_path)
        steps = [version.manifest()["step"] for version in store.Store(export_path, "linear").versions()]
        return record.best.step, [item.step for item in record.history], steps

    assert run(2) == (2, [1, 2], [1, 2])
    assert run(2) == (2, [1, 2], [1, 2])  # already trained: nothing new
    assert run(5) == (3, [1, 2, 3, 4, 5], [1, 2, 3])
    assert run(5) == (3, [1, 2, 3, 4, 5], [1, 2, 3])


class Killed(BaseException):
    """The process is no more: not an Exception, so that nobody handles it."""


@contextlib.contextmanager
def killed_after(steps):
    """Every step that changes a disk raises Killed, from a number of them on, as if the process had ended there.

    Yields:
        list of the steps that were taken.
    """
    taken = []

    def step(function, *args, **keys):
        if len(taken) == steps:
            raise Killed
        taken.append(function)
        return function(*args, **keys)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "rename", "mkdir", "unlink", "remove", "rmdir"):
            patch.setattr(os, name, functools.partial(step, getattr(os, name)))
        with contextlib.suppress(Killed):
            yield taken


@pytest.mark.parametrize("names", [("linear",), ("one", "two")], ids=["one module", "two modules"])
def test_killed_at_any_step(tmp_path, monkeypatch, names):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # a step, but a slow one
    estimator = linear.create_estimator(tmp_path / "model", names=names)
    estimator.train(linear.input_fn, max_steps=4)
    exporter = create_exporter(exports_to_keep=2, twin=False)
    for step, value in ((1, 0.5), (2, 0.6)):
        offer(exporter, estimator, tmp_path / "before", step, value)

    def crashed(steps):
        path = tmp_path / f"crashed-{steps}"
        shutil.copytree(tmp_path / "before", path)
        exporter = create_exporter(exports_to_keep=2, twin=False)
        exporter.record(estimator, str(path))
        with killed_after(steps) as taken:
            offer(exporter, estimator, path, 3, 0.7)
        return path, len(taken)

    _, all_steps = crashed(-1)
    assert all_steps > 20
    recovered = 0
    for steps in range(all_steps):
        path, _ = crashed(steps)
        assert problems(path, names) == [], steps
        after = create_exporter(exports_to_keep=2, twin=False)
        record = after.record(estimator, str(path))
        assert problems(path, names) == [], steps
        assert record.best.value >= np.float32(0.6), steps
        recovered += record.best.step == 3
        current = [store.Store(path, name).current() for name in names]
        assert {version.manifest()["step"] for version in current} == {record.best.step}, steps
        offer(after, estimator, path, 3, 0.7)  # as its evaluator does, if the record lacks it
        assert record_on_disk(path).best.step == 3, steps
        offer(after, estimator, path, 4, 0.8)
        assert record_on_disk(path).best.step == 4, steps
        assert problems(path, names) == [], steps
        assert all(len(store.Store(path, name).versions()) == 2 for name in names)
        shutil.rmtree(path)
    assert recovered > 0


def test_a_failed_export_is_tried_again(trained, tmp_path):
    exporter = create_exporter()
    offer(exporter, trained, tmp_path, 1, 0.5)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, "fsync", _no_space)
        offer(exporter, trained, tmp_path, 2, 0.6)
    assert json.loads((tmp_path / best.RECORD_FILE).read_text())["best"]["step"] == 1
    assert sorted(os.listdir(tmp_path / "linear")) == [".current.lock", "1", "current.json"]
    assert offer(exporter, trained, tmp_path, 2, 0.6) == str(tmp_path / "linear" / "2")


def _no_space(descriptor):
    raise OSError(28, "No space left on device")
