"""The advice to publishers, item by item, as far as a module's files can tell; it refuses nothing.

Not to be seen in the files, and not looked for: L1 and L2 in the publisher's optimizer, and whether rates suit the
consumers' problems.

Source: the documentation of TensorFlow Hub; each item names its page.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import node_def_pb2

from hubpipe import errors
from hubpipe.gates import result
from hubpipe.hub import common_signatures, image, read, spec
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib
from hubpipe.saved_model import twin

GATE = "advice"
MAX_MOMENTUM = 0.99  # a moving average of more than 100 steps; fine-tuning often has fewer
_MOST_TEXTS = 2  # inputs of a module for texts, or for pairs of them
_ROUNDING = 1e-6  # of what float32 makes of it

_APPLY = '"TF1 Hub format", Applying a module'
_PUBLISHERS = '"Exporting models in the TF1 Hub format", Advice for Publishers'
_CREATORS = '"Exporting a SavedModel", Advice for SavedModel creators'
_FINE_TUNING = '"TF1 Hub format", Fine-Tuning, For consumers'
_COMMON = '"Exporting models in the TF1 Hub format", General approach, and "Common signatures"'

_IMAGE_SIGNATURES = ("image_feature_vector", "image_classification")
_PASSING_ON = frozenset({"Identity", "Reshape", "Squeeze", "ExpandDims", "Cast", "Snapshot", "StopGradient"})
_PROBABILITIES = frozenset({"LogSoftmax", "Sigmoid", "Softmax"})
_CHOICES = frozenset({"ArgMax", "TopK", "TopKV2"})
_SCALING = frozenset({"Mul", "RealDiv", "Select", "SelectV2"})
_COMPARISONS = frozenset({"Floor", "Greater", "GreaterEqual", "Less", "LessEqual"})
_ARITHMETIC = frozenset({"Add", "AddV2", "Cast", "Identity", "Mul", "Sub"})
_RANDOM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"})
_DECAYS = frozenset({"AssignSub", "AssignSubVariableOp"})


@dataclasses.dataclass(frozen=True)
class Finding:
    """What became of one item of the advice.

    Attributes:
        item: its name.
        followed: None where it does not apply, or cannot be seen.
        found: what the module has, in words.
        advice: what publishers should do.
        source: page and section of the documentation that says so.
    """

    item: str
    followed: bool | None
    found: str
    advice: str
    source: str


def check(module_dir: str) -> result.Result:
    """Compares a module with the advice to publishers.

    Args:
        module_dir: a TF1 Hub module.
    Returns:
        An answer that refuses only what cannot be read; its numbers are `findings`, a dict for each item.
    """
    try:
        with result.blamed(f"{module_dir}: its graphs cannot be read"):
            found = findings(read.load_module_spec(module_dir))
    except errors.HubpipeError as error:
        return result.Result(GATE, [str(error)])
    told = [(finding, f"{finding.item}: {finding.found}") for finding in found]
    return result.Result(
        GATE,
        notes=[line for finding, line in told if finding.followed is None],
        numbers={"findings": [dataclasses.asdict(finding) for finding in found]},
        confirmed=[line for finding, line in told if finding.followed],
        advice=[
            f"{line}. {finding.advice} See {finding.source}."
            for finding, line in told
            if finding.followed is False
        ],
    )


def findings(module_spec: spec.ModuleSpec) -> list[Finding]:
    """All items of the advice, in the order of the documentation."""
    module = _Module(module_spec)
    return [Finding(item, *look(module), advice, source) for item, look, advice, source in _ITEMS]


class _Module:
    """A module as the items look at it.

    Attributes:
        spec: the module.
        inference: the variant for inference.
        train: the variant for training, None if there is none.
        tuned: the variant that is fine-tuned.
        default: the signature "default" for inference, None if there is none.
    """

    def __init__(self, module_spec: spec.ModuleSpec):
        tag_sets = module_spec.get_tags()
        self.spec = module_spec
        self.inference = module_spec.variant(twin.inference_tags(tag_sets))
        train_tags = twin.train_tags(tag_sets)
        self.train = module_spec.variant(train_tags) if train_tags is not None else None
        self.tuned = self.train or self.inference
        has_default = signature_lib.DEFAULT in self.inference.signature_names
        self.inputs = self.inference.inputs(signature_lib.DEFAULT) if has_default else None
        self.outputs = self.inference.outputs(signature_lib.DEFAULT) if has_default else None

    @property
    def num_trainable(self) -> int:
        return len(self.tuned.serialized(tf1.GraphKeys.TRAINABLE_VARIABLES))

    @property
    def output(self) -> signature_lib.ParsedTensorInfo | None:
        """The output "default" of the signature "default"."""
        return (self.outputs or {}).get(signature_lib.DEFAULT)


_Answer = tuple[bool | None, str]
_NO_DEFAULT: _Answer = (None, "there is no signature 'default'")
_NO_OUTPUT: _Answer = (None, "there is no output 'default'")
_NOT_TRAINABLE: _Answer = (None, "no variable is trainable")


def _default_signature(module: _Module) -> _Answer:
    names = module.inference.signature_names
    return module.inputs is not None, f"signatures are {', '.join(map(repr, names)) or 'none'}"


def _open_batch(module: _Module) -> _Answer:
    if module.inputs is None:
        return _NO_DEFAULT
    ranked = {name: info.get_shape() for name, info in module.inputs.items() if info.get_shape().rank != 0}
    if not ranked:
        return None, "no input of 'default' has a batch"
    fixed = {name: shape[0] for name, shape in ranked.items() if shape.rank and shape[0] is not None}
    if fixed:
        return False, ", ".join(f"input {name!r} has a batch of {size}" for name, size in sorted(fixed.items()))
    return True, f"of {', '.join(map(repr, sorted(ranked)))}"


def _floating_output(module: _Module) -> _Answer:
    if module.outputs is None:
        return _NO_DEFAULT
    if module.output is None:
        return False, f"the outputs of 'default' are {', '.join(map(repr, sorted(module.outputs)))}"
    return module.output.dtype.is_floating, f"it is {module.output.dtype.name}"


def _logits(module: _Module) -> _Answer:
    end = _end(module.inference)
    if end is None:
        return _NO_OUTPUT
    if end.op in _PROBABILITIES | _CHOICES:
        return False, f"it ends in {end.op}, node {end.name!r}"
    return True, f"it ends in {end.op}"


def _output_dropout(module: _Module) -> _Answer:
    if module.train is None:
        return None, "there is no variant for training"
    end = _end(module.train)
    if end is None:
        return _NO_OUTPUT
    if end.op in _SCALING and any(_is_mask(module.train, name) for name in end.input):
        return False, f"training drops parts of the output, node {end.name!r}"
    return True, "none is seen there"


def _momentum(module: _Module) -> _Answer:
    updates = module.tuned.names(tf1.GraphKeys.UPDATE_OPS)
    if not updates:
        return None, "there are no update ops"
    momentums = sorted(set(_momentums(module.tuned, updates)))
    if not momentums:
        return None, "the graph does not show it"
    told = ", ".join(f"{momentum:.6g}" for momentum in momentums)
    return momentums[-1] <= MAX_MOMENTUM + _ROUNDING, f"moving averages keep {told} in a step"


def _train_variant(module: _Module) -> _Answer:
    if not module.num_trainable:
        return _NOT_TRAINABLE
    variants = ", ".join(str(sorted(tags)) for tags in module.spec.get_tags())
    return module.train is not None, f"the variants are {variants}"


def _regularization(module: _Module) -> _Answer:
    if not module.num_trainable:
        return _NOT_TRAINABLE
    losses = len(module.tuned.names(tf1.GraphKeys.REGULARIZATION_LOSSES))
    return losses > 0, f"losses {losses}, trainable variables {module.num_trainable}"


def _hyperparameters(module: _Module) -> _Answer:
    if module.train is None:
        return None, "there is no variant for training"
    scalars = {
        name: sorted(key for key, info in module.train.inputs(name).items() if _is_rate(info))
        for name in module.train.signature_names
    }
    told = [f"{name!r} takes {', '.join(map(repr, keys))}" for name, keys in scalars.items() if keys]
    if told:
        return True, "; ".join(told)
    needed = graph_lib.ancestors(module.train.nodes, _outputs(module.train), graph_lib.Cut())
    is_random = any(module.train.nodes[name].op in _RANDOM for name in needed)
    if not is_random and not module.train.names(tf1.GraphKeys.UPDATE_OPS):
        return None, "there is neither dropout nor a moving average"
    return False, "training is random or moves averages, and no signature sets how much"


def _is_rate(info: signature_lib.ParsedTensorInfo) -> bool:
    return info.dtype.is_floating and not info.is_composite and info.get_shape().rank == 0


def _text(module: _Module) -> _Answer:
    if frozenset() not in module.spec.get_tags() or module.inputs is None:
        return None, "there is no signature 'default' without tags"
    if not any(info.dtype == tf.string and not info.is_composite for info in module.inputs.values()):
        return None, "no input is text"
    if len(module.inputs) > _MOST_TEXTS:
        return None, f"it takes {len(module.inputs)} inputs, the columns of a table"
    problems = common_signatures.text_embedding_problems(module.spec)
    return not problems, "; ".join(problems) or "string [batch] -> float32 [batch, dim]"


def _images(module: _Module) -> _Answer:
    if frozenset() not in module.spec.get_tags() or module.inputs is None:
        return None, "there is no signature 'default' without tags"
    if not any(
        name == image.IMAGES_INPUT or info.dtype.is_floating and info.get_shape().rank == 4
        for name, info in module.inputs.items()
    ):
        return None, "no input is an image"
    problems = common_signatures.image_embedding_problems(module.spec)
    if not set(_IMAGE_SIGNATURES) & set(module.inference.signature_names):
        problems.append(f"there is none of the signatures {', '.join(map(repr, _IMAGE_SIGNATURES))}")
    return not problems, "; ".join(problems) or "images, float32 [batch, height, width, 3] -> float32 [batch, dim]"


_ITEMS: tuple[tuple[str, Callable[[_Module], _Answer], str, str], ...] = (
    (
        "default signature",
        _default_signature,
        "A call that names no signature applies 'default': have one.",
        _APPLY,
    ),
    (
        "open batch",
        _open_batch,
        "Leave the first dimension of the inputs open; batches differ between consumers, and in size.",
        _COMMON,
    ),
    (
        "floating default output",
        _floating_output,
        "Return as output 'default' what a consumer's layers can take, and gradients can pass.",
        _APPLY,
    ),
    (
        "no probabilities",
        _logits,
        "Return logits or features: gradients hardly pass through probabilities, and not through a choice.",
        _CREATORS,
    ),
    (
        "regularization losses",
        _regularization,
        "Fine-tuning needs regularization: give weights a regularizer, it travels with the module.",
        _PUBLISHERS,
    ),
    (
        "train variant",
        _train_variant,
        "Have a variant with the tags {'train'}; it is what consumers fine-tune by convention.",
        _FINE_TUNING,
    ),
    (
        "no dropout on the output",
        _output_dropout,
        "Leave the last dropout to consumers: how much they need depends on how little data they have.",
        _PUBLISHERS,
    ),
    (
        "small momentum",
        _momentum,
        f"Let moving averages keep at most {MAX_MOMENTUM}; otherwise small datasets do not move them in time.",
        _PUBLISHERS,
    ),
    (
        "hyperparameters signature",
        _hyperparameters,
        "Add a signature that takes the rates as scalars, for consumers who need others.",
        _PUBLISHERS,
    ),
    (
        "common signature for text",
        _text,
        "Take string [batch] and return float32 [batch, dim], so that modules can be exchanged.",
        _COMMON,
    ),
    (
        "common signature for images",
        _images,
        "Take `images`, float32 [batch, height, width, 3] in [0, 1], say which size, and return [batch, dim].",
        _COMMON,
    ),
)


# The graph.


def _outputs(variant: variant_lib.Variant) -> Iterable[str]:
    if signature_lib.DEFAULT not in variant.signature_names:
        return []
    infos = variant.signature_def(signature_lib.DEFAULT).outputs.values()
    return [name for info in infos for name in signature_lib.component_names(info)]


def _end(variant: variant_lib.Variant) -> node_def_pb2.NodeDef | None:
    """The node that makes the output "default" of "default", None if there is no such dense output."""
    if signature_lib.DEFAULT not in variant.signature_names:
        return None
    info = variant.outputs(signature_lib.DEFAULT).get(signature_lib.DEFAULT)
    if info is None or info.is_composite:
        return None
    name = variant.signature_def(signature_lib.DEFAULT).outputs[signature_lib.DEFAULT].name
    return _maker(variant, name)


def _maker(variant: variant_lib.Variant, name: str) -> node_def_pb2.NodeDef:
    """The node that a tensor's values come from."""
    node = variant.nodes[graph_lib.node_name(name)]
    while node.op in _PASSING_ON and node.input and not graph_lib.is_control(node.input[0]):
        node = variant.nodes[graph_lib.node_name(node.input[0])]
    return node


def _is_mask(variant: variant_lib.Variant, name: str) -> bool:
    """Whether a tensor tells by chance what to keep: a comparison, or rounding, of random numbers.

    Source: https://jmlr.org/papers/v15/srivastava14a.html; so tf.nn.dropout of TensorFlow 1 and 2 makes it.
    """
    comparison = _maker(variant, name)
    if comparison.op not in _COMPARISONS:
        return False
    others = frozenset(name for name, node in variant.nodes.items() if node.op not in _ARITHMETIC | _RANDOM)
    compared = graph_lib.ancestors(variant.nodes, comparison.input, graph_lib.Cut(nodes=others))
    return any(variant.nodes[name].op in _RANDOM for name in compared)


def _momentums(variant: variant_lib.Variant, updates: Iterable[str]) -> Iterator[float]:
    """What moving averages keep of themselves in a step, of each that is moved by a share of a difference.

    That share is 1 - momentum: average -= share * (average - value), as TensorFlow and hubpipe write it.
    """
    needed = graph_lib.ancestors(variant.nodes, updates, graph_lib.Cut())
    for node in (variant.nodes[name] for name in sorted(needed)):
        if node.op in _DECAYS and len(node.input) > 1:
            change = _maker(variant, node.input[1])
            if change.op == "Mul":
                for factor in change.input:
                    share = _share(variant, factor)
                    if share is not None:
                        yield 1.0 - share
        elif "exponential_avg_factor" in node.attr and node.attr["exponential_avg_factor"].f < 1.0:
            yield 1.0 - node.attr["exponential_avg_factor"].f


def _share(variant: variant_lib.Variant, name: str) -> float | None:
    """The value of a scalar that the graph tells: a constant, or 1 - momentum."""
    node = _maker(variant, name)
    if node.op != "Sub":
        return _constant(variant, node)
    left, right = (_constant(variant, _maker(variant, source)) for source in node.input[:2])
    return left - right if left is not None and right is not None else None


def _constant(variant: variant_lib.Variant, node: node_def_pb2.NodeDef) -> float | None:
    """The value of a constant, or of a constant that an input defaults to."""
    if node.op == "PlaceholderWithDefault":
        node = _maker(variant, node.input[0])
    if node.op != "Const":
        return None
    value = tf.make_ndarray(node.attr["value"].tensor)
    return float(value) if value.shape == () and value.dtype.kind == "f" else None
