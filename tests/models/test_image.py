"""Tests of hubpipe.models.image."""

import collections

import numpy as np
import pytest
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.hub import common_signatures
from hubpipe.models import image
from tests.models.text.applied import Applied

IMAGES = np.random.default_rng(1).uniform(size=(6, 8, 8, 3)).astype(np.float32)
SIGNATURES = ["default", "hyperparameters", "image_classification", "image_feature_vector", "labels"]
# What training does more often: it drops at random, normalizes by the batch, and moves averages.
DROPPING = {"RandomUniform", "GreaterEqual", "SelectV2", "RealDiv", "Shape", "Sub", "Const"}
NORMALIZING = {"FusedBatchNormV3", "AssignSubVariableOp", "ReadVariableOp", "Sub", "Const"}
# And less often: it does not normalize by moving averages.
NORMALIZING_BY_AVERAGES = {"AddV2", "Rsqrt", "Mul"}


@pytest.fixture
def create_spec(tmp_path):
    """A function (hyperparameters, image_size, **keys of model_fn) -> the ModuleSpec of a small network."""

    def create(
        hyperparameters=("dropout_rate", "batch_norm_momentum"), image_size=(8, 8), has_classes=True, **keys
    ):
        encoder = {"width": 2, **keys.pop("encoder", {})}
        model = schema.ImageModel.model_validate({"kind": "image", "encoder": encoder, **keys})
        (tmp_path / "labels.txt").write_text("cat\ndog\nschön\n", encoding="utf-8")
        return image.create_spec(
            model,
            schema.Export(hyperparameters=hyperparameters),
            labels_path=str(tmp_path / "labels.txt") if has_classes else None,
            image_size=image_size,
        )

    return create


def test_signatures_are_the_common_ones_of_images(create_spec):
    spec = create_spec()
    assert sorted(spec.get_signature_names()) == SIGNATURES
    assert common_signatures.image_embedding_problems(spec) == []
    for tags in (None, {"train"}):
        for name in ("default", "image_feature_vector", "image_classification"):
            (images,) = spec.get_input_info_dict(name, tags).values()
            assert images.get_shape().as_list() == [None, 8, 8, 3]
        outputs = spec.get_output_info_dict("image_classification", tags)
        assert outputs["default"].get_shape().as_list() == [None, 3]
    assert hub.get_expected_image_size(spec) == [8, 8] and hub.get_num_image_channels(spec) == 3
    info = spec.get_attached_message("image_module_info", hub.ImageModuleInfo)
    assert (info.default_image_size.height, info.default_image_size.width) == (8, 8)


def test_hidden_activations_carry_the_name_of_the_architecture(create_spec):
    spec = create_spec(encoder={"depth": 14, "width": 4}, image_size=(8, 12))
    shapes = {name: info.get_shape().as_list() for name, info in spec.get_output_info_dict().items()}
    assert shapes == {
        "default": [None, 16],
        "ResNet-14/stem": [None, 8, 12, 4],
        "ResNet-14/stage_1": [None, 8, 12, 4],
        "ResNet-14/stage_2": [None, 4, 6, 8],
        "ResNet-14/stage_3": [None, 2, 3, 16],
    }
    assert "ResNet-14/stage_3" in spec.get_output_info_dict("image_classification")


def test_features_are_the_mean_of_the_last_stage(create_spec):
    module = Applied(create_spec())
    np.testing.assert_allclose(
        module(images=IMAGES), module("ResNet-8/stage_3", images=IMAGES).mean(axis=(1, 2)), rtol=1e-5
    )


def test_the_large_stem_leaves_a_sixteenth_of_the_pixels(create_spec):
    spec = create_spec(encoder={"stem": "7x7"}, image_size=(32, 32))
    outputs = spec.get_output_info_dict()
    assert outputs["ResNet-8/stem"].get_shape().as_list() == [None, 8, 8, 2]
    assert spec.variable_shapes()["stem/kernel"][1] == (7, 7, 3, 2)


@pytest.mark.parametrize("depth", [8, 14, 20])
@pytest.mark.parametrize("enabled", [True, False])
def test_depth_counts_the_layers_with_a_kernel(create_spec, depth, enabled):
    spec = create_spec(encoder={"depth": depth}, batch_norm={"enabled": enabled})
    kernels = {name for name in spec.variable_shapes() if name.endswith("/kernel")}
    assert len({name for name in kernels if "shortcut" not in name}) == depth
    assert kernels == set(image.regularizers(schema.ImageModel(kind="image", encoder={"depth": depth}), {}))
    norms = {name for name in spec.variable_shapes() if "norm" in name}
    biases = {name for name in spec.variable_shapes() if name.endswith("/bias")}
    assert len(norms) == (4 * (depth - 1) if enabled else 0)
    assert len(biases) == (1 if enabled else len(kernels))


def test_the_graphs_differ_exactly_where_they_should(create_spec):
    spec = create_spec(dropout={"rate": 0.5}, regularizers={"kernel": {"l2": 0.5}})
    inference, train = (
        collections.Counter(node.op for node in spec.variant(tags).nodes.values()) for tags in ((), ("train",))
    )
    added, gone = train - inference, inference - train
    assert added.keys() == DROPPING | NORMALIZING
    assert gone.keys() == NORMALIZING_BY_AVERAGES
    assert (added["RandomUniform"], inference["RandomUniform"]) == (4, 1)  # in 3 blocks, of logits; initial values
    assert (added["FusedBatchNormV3"], inference["FusedBatchNormV3"]) == (7, 0)  # 2 in a block, 1 after the last
    assert (added["AssignSubVariableOp"], inference["AssignSubVariableOp"]) == (14, 0)
    for op in ("Conv2D", "MatMul", "Relu", "VarHandleOp", "Square", "Placeholder"):
        assert train[op] == inference[op]
    of_inference, of_train = (Applied(spec, trainable=True, tags=tags) for tags in (None, {"train"}))
    assert sorted(of_inference.values()) == sorted(of_train.values())
    for key, expected in ((tf1.GraphKeys.UPDATE_OPS, (0, 14)), (tf1.GraphKeys.REGULARIZATION_LOSSES, (10, 10)),
                          (tf1.GraphKeys.TRAINABLE_VARIABLES, (25, 25))):  # fmt: skip
        assert tuple(len(module.graph.get_collection(key)) for module in (of_inference, of_train)) == expected


def test_training_passes_differ_by_dropout_alone(create_spec):
    spec = create_spec(dropout={"rate": 0.5})
    inference = Applied(spec)
    np.testing.assert_array_equal(inference(images=IMAGES), inference(images=IMAGES))
    training = Applied(spec, tags={"train"}, signature="hyperparameters")

    def passes(rate):
        return [training(images=IMAGES, dropout_rate=rate, batch_norm_momentum=0.9) for _ in range(5)]

    quiet, noisy = passes(0.0), passes(0.5)
    for other in quiet[1:]:
        np.testing.assert_array_equal(other, quiet[0])
    assert any(np.any(other != noisy[0]) for other in noisy[1:])


def test_momentum_takes_effect(create_spec):
    module = Applied(create_spec(), tags={"train"}, signature="hyperparameters", trainable=True)
    name = "stage_1/block_1/norm_1/moving_variance"

    def moved(momentum):
        feeds = {"images": IMAGES, "dropout_rate": 0.0, "batch_norm_momentum": momentum}
        module.load(name, np.ones(2, np.float32))
        updates = module.graph.get_collection(tf1.GraphKeys.UPDATE_OPS)
        module.session.run(updates, {module.inputs[key]: value for key, value in feeds.items()})
        return 1 - module.values()[name]

    np.testing.assert_allclose(moved(0.75), 2.5 * moved(0.9), rtol=1e-4)


def test_nothing_is_dropped_of_the_features(create_spec):
    spec = create_spec(dropout={"rate": 0.5}, batch_norm={"enabled": False})
    module = Applied(spec, tags={"train"})
    features, last = module.session.run(
        [module.outputs["default"], module.outputs["ResNet-8/stage_3"]], {module.inputs["images"]: IMAGES}
    )
    np.testing.assert_allclose(features, last.mean(axis=(1, 2)), rtol=1e-5)


def test_regularization_losses_are_those_of_the_config(create_spec):
    module = Applied(create_spec(regularizers={"kernel": {"l1": 0.25, "l2": 0.5}}), trainable=True, tags={"train"})
    expected = [
        0.25 * np.sum(np.abs(value)) + 0.5 * np.sum(value**2)
        for name, value in module.values().items()
        if name.endswith("/kernel")
    ]
    found = module.collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
    assert sorted(found) == pytest.approx(sorted(expected), rel=1e-5)


def test_without_hyperparameters_there_is_no_such_signature(create_spec):
    assert sorted(create_spec(hyperparameters=()).get_signature_names()) == [
        name for name in SIGNATURES if name != "hyperparameters"
    ]


def test_labels_signature_lists_the_classes(create_spec):
    labels = Applied(create_spec(), signature="labels")()
    assert [label.decode() for label in labels] == ["cat", "dog", "schön"]


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "swish"])
def test_tensorflow_1_15_reads_it(create_spec, activation):
    assert create_spec(encoder={"activation": activation, "stem": "7x7"}).obstacles("1.15") == []


def test_without_classes_there_is_no_classifier(create_spec):
    head = {"kind": "regression"}
    spec = create_spec(has_classes=False, head=head)
    assert sorted(spec.get_signature_names()) == ["default", "hyperparameters", "image_feature_vector"]
    model = schema.ImageModel.model_validate({"kind": "image", "head": head})
    assert "logits/kernel" not in image.regularizers(model, {})
    assert "logits/kernel" in image.regularizers(schema.ImageModel(kind="image"), {})
