"""Tests of hubpipe.training.judge."""

import os
import threading
import types

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.exporters import select
from hubpipe.training import evaluator as evaluator_lib
from hubpipe.training import judge as judge_lib
from hubpipe.training import verdicts
from tests.training import saved

TIMEOUT_SECS = 20


class FakeExporter:
    """Records as BestModuleExporter does, and exports nothing."""

    name = "best"

    def __init__(self):
        self.kept = select.Record("run", "accuracy", True)

    def record(self, estimator, export_path):
        return self.kept

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        value, step = eval_result["accuracy"], eval_result["global_step"]
        better = self.kept.is_better(value, self.kept.best and self.kept.best.value)
        versions = {"m": step} if better else {}
        self.kept = self.kept.with_evaluation(select.Evaluation(step, value, str(step), versions))
        return f"store/m/{step}" if better else None


class FakeProgress:
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []
        self.best = ""

    def note(self, line):
        self.lines.append(line)

    def set_best(self, best):
        self.best = best


class Case:
    """A judge whose evaluations are scripted: dict step -> accuracy, or an exception to raise."""

    def __init__(self, monkeypatch, model_dir, accuracies, *, keep=5, exporter=None, **options):
        self.started, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.held = False  # whether evaluations wait for go_on
        self.judged, self.closed = [], []
        case = self

        class Evaluator:
            def __init__(self, estimator, input_fn):
                self.thread = threading.get_ident()

            def evaluate(self, path):
                case.started.release()
                if case.held:
                    assert case.go_on.acquire(timeout=TIMEOUT_SECS)
                step = int(path.rsplit("-", 1)[1])
                case.judged.append(step)
                if isinstance(accuracies[step], BaseException):
                    raise accuracies[step]
                return {"accuracy": accuracies[step], "global_step": step}

            def close(self):
                case.closed.append(True)

        monkeypatch.setattr(evaluator_lib, "Evaluator", Evaluator)
        self.exporter = exporter or FakeExporter()
        self.progress = FakeProgress()
        self.preempted = threading.Event()
        estimator = types.SimpleNamespace(
            model_dir=str(model_dir),
            config=types.SimpleNamespace(keep_checkpoint_max=keep),
            latest_checkpoint=lambda: tf.train.latest_checkpoint(str(model_dir)),
        )
        settings = {"patience": None, "min_improvement": 0.0, **options}
        self.judge = judge_lib.Judge(
            estimator,
            verdicts.Verdicts(estimator, None, self.exporter, self.progress, **settings),
            every_steps=10,
            is_preempted=self.preempted.is_set,
        )

    def save(self, *steps):
        """Tells the judge of checkpoints, as training does."""
        return [self.judge.after_save(None, step) for step in steps]


@pytest.fixture
def case(monkeypatch, tmp_path):
    def create(accuracies, **options):
        return Case(monkeypatch, tmp_path, accuracies, **options)

    return create


def test_checkpoints_are_judged_in_order(case):
    one = case({10: 0.5, 20: 0.7, 30: 0.6, 40: 0.8})
    with one.judge:
        one.save(10, 20, 30, 40)
    assert one.judged == [10, 20, 30, 40]
    assert one.progress.lines == [
        "step 10: accuracy 0.5000, exported store/m/10",
        "step 20: accuracy 0.7000, exported store/m/20",
        "step 30: accuracy 0.6000, not the best",
        "step 40: accuracy 0.8000, exported store/m/40",
    ]
    assert one.progress.best == "accuracy 0.8000"
    assert one.closed == [True]


def test_only_what_is_due_is_judged_and_the_last(case, tmp_path):
    saved.checkpoints(tmp_path, 34)
    one = case(dict.fromkeys(range(100), 0.5))
    with one.judge:
        one.save(0, 7, 10, 13, 20, 31, 34)
        one.judge.take_last()
        one.judge.take_last()
    assert one.judged == [10, 20, 31, 34]


def test_a_resumed_run_catches_up(case, tmp_path):
    saved.checkpoints(tmp_path, 10, 20, 30)
    exporter = FakeExporter()
    exporter.kept = exporter.kept.with_evaluation(select.Evaluation(10, 0.5, "10", {"m": 1}))
    one = case({20: 0.6, 30: 0.4, 40: 0.3}, exporter=exporter)
    assert one.progress.best == "accuracy 0.5000"
    with one.judge:
        one.judge.catch_up()
        one.save(30, 40)  # training saves the step it starts from once more
    assert one.judged == [20, 30, 40]


def test_a_checkpoint_that_is_gone_is_not_caught_up(case, tmp_path):
    saved.checkpoints(tmp_path, 10, 20)
    os.remove(tmp_path / "model.ckpt-10.index")
    one = case({20: 0.6})
    with one.judge:
        one.judge.catch_up()
    assert one.judged == [20]


def test_after_a_rollback_later_steps_are_judged_again(case, tmp_path):
    saved.checkpoints(tmp_path, 10)
    exporter = FakeExporter()
    for step in (10, 20, 30):
        exporter.kept = exporter.kept.with_evaluation(select.Evaluation(step, 0.5, str(step), {"m": step}))
    one = case({20: 0.6}, exporter=exporter)
    with one.judge:
        one.save(20)
    assert one.judged == [20]


def assert_waits_for_an_evaluation(one, step):
    """Asserts that saving a checkpoint waits for the evaluation that is held; lets it and all others go on."""
    saving = threading.Thread(target=one.save, args=(step,))
    saving.start()
    saving.join(0.3)
    assert saving.is_alive()
    one.go_on.release()
    saving.join(TIMEOUT_SECS)
    assert not saving.is_alive()
    one.go_on.release(10)


def test_training_waits_before_a_waiting_checkpoint_could_be_deleted(case):
    """With 4 checkpoints kept: one is judged, two wait, and the one that is saved then makes training wait."""
    one = case(dict.fromkeys(range(10, 60, 10), 0.5), keep=4)
    one.held = True
    with one.judge:
        one.save(10)
        assert one.started.acquire(timeout=TIMEOUT_SECS)
        one.save(20, 30)
        assert_waits_for_an_evaluation(one, 40)
    assert one.judged == [10, 20, 30, 40]


def test_a_checkpoint_that_was_saved_on_the_way_out_takes_a_place(case, tmp_path):
    """With 4 checkpoints kept: 10 is not judged yet, 13 was saved by a signal; what follows 33 would delete 10."""
    saved.checkpoints(tmp_path, 10, 13)
    one = case(dict.fromkeys((10, 23, 33), 0.5), keep=4)
    one.held = True
    with one.judge:
        one.judge.catch_up()
        one.save(13, 23)
        assert_waits_for_an_evaluation(one, 33)
    assert one.judged == [10, 23, 33]


@pytest.mark.parametrize("backlog", [False, True])
def test_patience_does_not_depend_on_speed(case, backlog):
    accuracies = {10: 0.5, 20: 0.7, 30: 0.6, 40: 0.7, 50: 0.9, 60: 0.9}
    one = case(accuracies, keep=20, patience=2)
    one.held = backlog
    stops = []
    with one.judge:
        for step in accuracies:
            stops += one.save(step)
            if not backlog:
                wait_until(lambda step=step: step in one.judged or one.judge.should_stop)
        one.go_on.release(10)
    assert one.judged == [10, 20, 30, 40]
    assert one.exporter.kept.best.step == 20
    assert one.judge.is_exhausted
    assert any(stops) != backlog


def wait_until(condition):
    reached = threading.Event()
    for _ in range(TIMEOUT_SECS * 100):
        if condition():
            return
        reached.wait(0.01)
    raise TimeoutError


def test_patience_survives_a_restart(case, tmp_path):
    saved.checkpoints(tmp_path, 30)
    exporter = FakeExporter()
    for step, value in ((10, 0.5), (20, 0.5), (30, 0.4)):
        exporter.kept = exporter.kept.with_evaluation(select.Evaluation(step, value, str(step)))
    assert case({}, exporter=exporter, patience=2).judge.is_exhausted
    assert not case({}, exporter=exporter, patience=3).judge.is_exhausted


def test_improvements_that_are_too_small_cost_patience(case):
    one = case({10: 0.50, 20: 0.51, 30: 0.52, 40: 0.53}, patience=2, min_improvement=0.05)
    with one.judge:
        one.save(10, 20, 30, 40)
    assert one.judged == [10, 20, 30]
    assert one.exporter.kept.best.step == 30  # exported nevertheless


def test_a_failure_stops_training_and_is_raised_there(case):
    one = case({10: 0.5, 20: ValueError("broken"), 30: 0.6})
    with pytest.raises(ValueError, match="broken"), one.judge:
        one.save(10, 20)
        wait_until(lambda: one.judge.should_stop)
        assert one.save(30) == [True]
    assert one.judged == [10, 20]


def test_an_error_of_training_comes_before_a_failure_of_judging(case):
    one = case({10: ValueError("of judging")})
    with pytest.raises(KeyError, match="of training"), one.judge:
        one.save(10)
        wait_until(lambda: one.judge.should_stop)
        raise KeyError("of training")


def test_an_error_of_training_leaves_what_waits(case):
    one = case({10: 0.5, 20: 0.6})
    one.held = True
    with pytest.raises(KeyError), one.judge:
        one.save(10, 20)
        assert one.started.acquire(timeout=TIMEOUT_SECS)
        threading.Timer(0.2, one.go_on.release, [10]).start()
        raise KeyError
    assert one.judged == [10]


def test_preemption_finishes_the_one_at_hand(case):
    one = case({10: 0.5, 20: 0.6, 30: 0.7})
    one.held = True
    with one.judge:
        one.save(10, 20, 30)
        assert one.started.acquire(timeout=TIMEOUT_SECS)
        one.preempted.set()
        one.go_on.release(10)
    assert one.judged == [10]
    assert one.exporter.kept.best.step == 10


def test_a_stop_hook_stops_at_the_step_after_the_condition():
    reached = []
    with tf.Graph().as_default():
        step = tf1.train.get_or_create_global_step()
        add = step.assign_add(1)
        hook = judge_lib.StopHook(lambda: len(reached) == 3)
        with tf1.train.MonitoredSession(hooks=[hook]) as session:
            while not session.should_stop():
                reached.append(session.run(add))
    assert reached == [1, 2, 3, 4]
