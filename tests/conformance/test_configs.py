"""Every config of the repository loads and trains two steps."""

import io
import pathlib

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import load
from hubpipe.store import store
from hubpipe.training import progress as progress_lib
from hubpipe.training import run
from tests import needs

CONFIGS_DIR = pathlib.Path(__file__).parents[2] / "configs"
CONFIGS = sorted(CONFIGS_DIR.rglob("*.yaml"))
COUNT = 9  # to be raised with each new config


def test_all_are_found():
    assert len(CONFIGS) == COUNT
    assert [path for path in CONFIGS_DIR.rglob("*") if path.is_file() and path not in CONFIGS] == []


def imported(model, directory):
    """The section of an imported module with a module that is there: one word's embedding, with a penalty."""

    def module_fn():
        text = tf1.placeholder(tf.string, [None])
        table = tf1.get_variable("table", [5, 3], regularizer=tf.nn.l2_loss)
        hub.add_signature(inputs={"text": text}, outputs=tf.gather(table, tf.strings.to_hash_bucket_fast(text, 5)))

    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(hub.create_module_spec(module_fn))
        session.run(tf1.global_variables_initializer())
        module.export(str(directory / "imported"), session)
    return model.model_copy(update={"module": str(directory / "imported")})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(CONFIGS_DIR)))
def test_it_trains_two_steps(path, tmp_path):
    overrides = ("training.max_steps=2", f"model_dir={tmp_path}/run", f"store.dir={tmp_path}/store")
    config = load.load(path, overrides)
    if config.model_fn.kind == "imported":
        config = config.model_copy(update={"model_fn": imported(config.model_fn, tmp_path)})
    if config.model_fn.kind == "keras":
        needs.keras_2()
    if config.inputs.kind == "image":
        needs.scikit_learn()
    progress = progress_lib.Progress(
        max_steps=2, batch_size=config.inputs.batch_size, every_steps=1, file=io.StringIO()
    )
    result = run.run(config, progress)
    assert (result.outcome, result.step, result.evaluated) == ("trained", 2, 1)
    assert config.selection.metric in result.metrics
    (version,) = store.Store(tmp_path / "store", config.name).versions()
    assert version.path == result.path
    assert version.problems() == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(CONFIGS_DIR)))
def test_it_opens_with_its_command_cost_and_metric(path):
    comment = path.read_text().split("\n\n")[0] if path.read_text().startswith("#") else ""
    name = path.relative_to(CONFIGS_DIR.parent).as_posix()
    assert f"python -m hubpipe.train --config {name}" in comment
    assert "cost:" in comment
    assert load.load(path).selection.metric + ":" in comment
