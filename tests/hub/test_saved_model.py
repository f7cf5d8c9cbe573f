import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.protobuf import saved_model_pb2

from hubpipe import errors, estimator, hub

SIGNATURE = "serving_default"


def write_saved_model(path, tag_sets=(("serve",),), build=None):
    """A SavedModel of y = weight * x with weight 2; `build` adds to its graph and returns more signatures."""
    builder = tf1.saved_model.Builder(str(path))
    for index, tags in enumerate(tag_sets):
        with tf.Graph().as_default(), tf1.Session() as session:
            x = tf1.placeholder(tf.float32, [None, 3])
            weight = tf1.get_variable("weight", [], initializer=tf1.constant_initializer(2.0))
            tf1.train.create_global_step()
            with tf.device("/device:CPU:0"):
                y = x * weight
            signatures = {SIGNATURE: tf1.saved_model.predict_signature_def({"x": x}, {"y": y})}
            signatures.update(build(y) if build else {})
            session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
            options = {
                "signature_def_map": signatures,
                "assets_collection": tf1.get_collection(tf1.GraphKeys.ASSET_FILEPATHS),
                "main_op": tf1.tables_initializer(name="init"),
            }
            if index == 0:
                builder.add_meta_graph_and_variables(session, list(tags), **options)
            else:
                builder.add_meta_graph(list(tags), **options)
    builder.save()
    return str(path)


def apply(spec, inputs, output="y", signature=SIGNATURE, tags=("serve",)):
    with hub.eval_function_for_module(spec, tags=tags) as evaluate:
        return evaluate(inputs, signature=signature, as_dict=True)[output]


def test_signatures_tags_and_values_are_those_of_the_saved_model(tmp_path):
    spec = hub.create_module_spec_from_saved_model(write_saved_model(tmp_path / "saved"))
    assert spec.get_tags() == [frozenset({"serve"})]
    assert spec.get_signature_names(tags={"serve"}) == [SIGNATURE]
    assert list(spec.get_input_info_dict(SIGNATURE, tags={"serve"})) == ["x"]
    np.testing.assert_array_equal(apply(spec, [[2, 4, 5]]), [[4, 8, 10]])


def test_each_meta_graph_becomes_a_variant(tmp_path):
    path = write_saved_model(tmp_path / "saved", (["serve"], ["serve", "big"]))
    spec = hub.create_module_spec_from_saved_model(path)
    assert set(spec.get_tags()) == {frozenset({"serve"}), frozenset({"serve", "big"})}
    np.testing.assert_array_equal(apply(spec, [[1, 1, 1]], tags={"serve", "big"}), [[2, 2, 2]])


def test_it_can_be_trained_and_exported(tmp_path):
    spec = hub.create_module_spec_from_saved_model(write_saved_model(tmp_path / "saved"))
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec, trainable=True, tags={"serve"})
        output = module([[1.0, 1.0, 1.0]], signature=SIGNATURE, as_dict=True)["y"]
        train = tf1.train.GradientDescentOptimizer(1.0).minimize(tf.reduce_sum(output))
        session.run(tf1.global_variables_initializer())
        session.run(train)
        module.export(str(tmp_path / "module"), session)
    np.testing.assert_array_equal(apply(str(tmp_path / "module"), [[1, 2, 3]]), [[-1, -2, -3]])


def test_the_module_names_no_device(tmp_path):
    spec = hub.create_module_spec_from_saved_model(write_saved_model(tmp_path / "saved"))
    spec.export(str(tmp_path / "module"), checkpoint_path=spec.checkpoint_path)
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "module" / "saved_model.pb").read_bytes())
    assert {node.device for node in saved.meta_graphs[0].graph_def.node} == {""}
    assert not saved.meta_graphs[0].HasField("saver_def")


def test_tables_read_the_files_of_the_saved_model_and_of_the_exported_module(tmp_path):
    vocabulary = tmp_path / "private" / "words.txt"
    vocabulary.parent.mkdir()
    vocabulary.write_text("a\nb\nc\n")

    def lookup(_):
        rows = tf.lookup.TextFileIndex
        initializer = tf.lookup.TextFileInitializer(
            str(vocabulary), tf.string, rows.WHOLE_LINE, tf.int64, rows.LINE_NUMBER
        )
        words = tf1.placeholder(tf.string, [None])
        ids = tf.lookup.StaticHashTable(initializer, -1).lookup(words)
        return {"lookup": tf1.saved_model.predict_signature_def({"words": words}, {"ids": ids})}

    saved_model = write_saved_model(tmp_path / "saved", build=lookup)
    vocabulary.unlink()
    spec = hub.create_module_spec_from_saved_model(saved_model)
    assert spec.get_signature_names(tags={"serve"}) == ["lookup", SIGNATURE]
    np.testing.assert_array_equal(apply(spec, ["b", "?"], "ids", "lookup"), [1, -1])
    spec.export(str(tmp_path / "module"), checkpoint_path=spec.checkpoint_path)
    (tmp_path / "saved").rename(tmp_path / "moved")
    np.testing.assert_array_equal(apply(str(tmp_path / "module"), ["c"], "ids", "lookup"), [2])
    assert b"private" not in (tmp_path / "module" / "saved_model.pb").read_bytes()


def test_what_an_estimator_exports(tmp_path):
    def model_fn(features, labels, mode):
        weight = tf1.get_variable("weight", [], initializer=tf1.constant_initializer(3.0))
        outputs = {"y": features["x"] * weight}
        if mode == estimator.ModeKeys.PREDICT:
            exported = {SIGNATURE: estimator.export.PredictOutput(outputs)}
            return estimator.EstimatorSpec(mode, predictions=outputs, export_outputs=exported)
        train = tf1.assign_add(tf1.train.get_global_step(), 1)
        return estimator.EstimatorSpec(mode, loss=tf.reduce_mean(outputs["y"]), train_op=train)

    def serving_input_fn():
        x = tf1.placeholder(tf.float32, [None])
        return estimator.export.ServingInputReceiver({"x": x}, {"x": x})

    trained = estimator.Estimator(model_fn, str(tmp_path / "run"))
    trained.train(lambda: {"x": tf.constant([1.0])}, steps=1)
    path = trained.export_saved_model(str(tmp_path / "export"), serving_input_fn).decode()
    np.testing.assert_array_equal(apply(hub.create_module_spec_from_saved_model(path), [1, 2]), [3, 6])


def test_collections_that_cannot_travel_are_named_together(tmp_path):
    def collect(y):
        tf1.add_to_collection("zebra", y)
        tf1.add_to_collection("ant", y)
        return {}

    path = write_saved_model(tmp_path / "saved", build=collect)
    message = re.escape(f"{path}: Unsupported collections in graph: ['ant', 'zebra']. Use ")
    with pytest.raises(errors.ModuleSpecError, match=message + r".*drop_collections=\['ant', 'zebra'\]"):
        hub.create_module_spec_from_saved_model(path)
    with pytest.raises(ValueError, match=r"in graph: \['ant'\]"):
        hub.create_module_spec_from_saved_model(path, drop_collections=["zebra"])
    spec = hub.create_module_spec_from_saved_model(path, drop_collections=["ant", "zebra"])
    np.testing.assert_array_equal(apply(spec, [[1, 1, 1]]), [[2, 2, 2]])


def test_tags_must_be_unique(tmp_path):
    path = write_saved_model(tmp_path / "saved", (["serve", "a"], ["a", "serve"], ["serve"]))
    with pytest.raises(errors.ModuleSpecError, match=r"saved: tags used repeatedly: \['a', 'serve'\];"):
        hub.create_module_spec_from_saved_model(path)


def test_a_saved_model_of_tensorflow_2_is_refused(tmp_path):
    model = tf.Module()
    model.double = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(model, str(tmp_path))
    with pytest.raises(errors.SavedModelError, match="SavedModel of TensorFlow 2 .* load it with"):
        hub.create_module_spec_from_saved_model(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"saved_model\.pb does not exist"),
        (b"\xff\xff\xff", r"saved_model\.pb: not a serialized SavedModel"),
        (b"", r"saved_model\.pb: the SavedModel has no meta graphs"),
    ],
)
def test_what_is_no_saved_model(tmp_path, content, message):
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(OSError, match=message) as raised:
        hub.create_module_spec_from_saved_model(str(tmp_path))
    assert isinstance(raised.value, errors.SavedModelError)


def test_an_asset_stays_inside_the_assets_directory(tmp_path):
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\n")

    def name_asset(_):
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(vocabulary)))
        return {}

    path = write_saved_model(tmp_path / "saved", build=name_asset)
    file = tmp_path / "saved" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    packed = saved.meta_graphs[0].collection_def["saved_model_assets"].any_list.value[0]
    packed.value = packed.value.replace(b"words.txt", b"../wo.txt")
    file.write_bytes(saved.SerializeToString())
    with pytest.raises(errors.FormatError, match=r"\.\./wo\.txt"):
        hub.create_module_spec_from_saved_model(path)
