"""A module and its twin, loaded from disk to be asked the same questions."""

import contextlib
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.hub import module as module_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import spec
from hubpipe.saved_model import golden, twin

Outputs = dict[str, list[np.ndarray]]
Scalars = Mapping[str, float | int | bool]


class Tuned(NamedTuple):
    """What fine-tuning did.

    Attributes:
        variables: dict name -> value afterwards.
        without_gradient: names of the trainable variables that the outputs send no gradient to.
    """

    variables: dict[str, np.ndarray]
    without_gradient: list[str]


def distance(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """How far the output "default" is from noise, float32 []; a loss that asks every weight to move.

    All floating outputs count if "default" is none.
    """
    floating = {key: value for key, value in outputs.items() if value.dtype.is_floating}
    chosen = [floating[signature_lib.DEFAULT]] if signature_lib.DEFAULT in floating else list(floating.values())
    dense = [value for value in chosen if isinstance(value, tf.Tensor)]
    return tf.add_n([tf.zeros([]), *map(_distance, dense)])


def _distance(output: tf.Tensor) -> tf.Tensor:
    noise = tf.random.stateless_uniform(tf.shape(output), seed=[1, 2], minval=-1.0, maxval=1.0)
    return tf.reduce_mean(tf.square(tf.cast(output, tf.float32) - noise))


class ModuleSide:
    """The module, in graphs and sessions of TensorFlow 1: one for inference and one for training.

    Attributes:
        trainable: names of the trainable variables.
    """

    def __init__(self, module_spec: spec.ModuleSpec):
        tag_sets = module_spec.get_tags()
        inference = twin.inference_tags(tag_sets)
        train = twin.train_tags(tag_sets)
        self._inference = _Session(module_spec, inference, trainable=False)
        self._training = _Session(module_spec, inference if train is None else train, trainable=True)
        self.trainable = self._training.trainable

    def outputs(self, name: str, inputs: Mapping[str, Any]) -> Outputs:
        """What a signature returns in inference, dict name -> its dense arrays."""
        return self._inference.run(name, inputs)

    def variables(self) -> dict[str, np.ndarray]:
        """dict name -> value on disk."""
        self._training.reset()
        return self._training.values()

    def losses(self) -> list[float]:
        """The values of the regularization losses that depend on no input."""
        self._training.reset()
        return self._training.losses()

    def step(
        self, name: str, inputs: Mapping[str, Any], scalars: Scalars
    ) -> tuple[Outputs, dict[str, np.ndarray]]:
        """Applies a signature once in training, from the values on disk, and runs its update ops.

        Args:
            name: the signature.
            inputs: of the signature.
            scalars: hyperparameters, for the signature "default" only.
        Returns:
            The outputs; dict name -> value of the variables after it.
        """
        self._training.reset()
        applied = twin.HYPERPARAMETERS if scalars else name
        outputs = self._training.run(applied, {**inputs, **scalars})
        return outputs, self._training.values()

    def call(self, name: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Applies a signature once in training without its update ops, from the values on disk.

        Returns:
            dict name -> value of the variables after it.
        """
        self._training.reset()
        self._training.run(name, inputs, with_updates=False)
        return self._training.values()

    def tune(self, inputs: Mapping[str, Any], *, steps: int, rate: float) -> Tuned:
        """Fine-tunes the signature "default" for some steps, from the values on disk.

        Each step runs the update ops and moves each weight by `rate` against the sign of its gradient. The loss is
        that of `distance`, and the regularization losses.

        Args:
            inputs: of the signature.
            steps: how many.
            rate: how far a weight moves in a step.
        Returns:
            What became of the variables.
        """
        self._training.reset()
        without = self._training.tune(inputs, steps=steps, rate=rate)
        return Tuned(self._training.values(), without)


class _Application(NamedTuple):
    placeholders: dict[str, Any]
    outputs: dict[str, Any]
    updates: list[tf.Operation | tf.Tensor]


class _Session:
    """One graph variant in a graph and a session; its UPDATE_OPS are added only if it is trainable."""

    def __init__(self, module_spec: spec.ModuleSpec, tags: frozenset[str], *, trainable: bool):
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._module = module_lib.Module(module_spec, trainable=trainable, tags=tags)
            self._variables = {_relative(variable.op.name): variable for variable in self._module.variables}
            self._initialize = [tf1.global_variables_initializer(), tf1.tables_initializer()]
            variant = module_spec.variant(tags)
            names = variant.names(tf1.GraphKeys.REGULARIZATION_LOSSES) if trainable else []
            losses = self._graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
            asked = set(twin.losses_of_weights(variant))
            self._losses = [loss for name, loss in zip(names, losses, strict=True) if name in asked]
            trainables = self._graph.get_collection(tf1.GraphKeys.TRAINABLE_VARIABLES)
            self.trainable = {_relative(variable.op.name) for variable in trainables}
        self._applications: dict[str, _Application] = {}
        config = tf1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = trainable  # see _as_written
        self._session = tf1.Session(graph=self._graph, config=config)
        self.reset()

    def reset(self) -> None:
        """Gives the variables the values on disk."""
        self._session.run(self._initialize)

    def run(self, name: str, inputs: Mapping[str, Any], *, with_updates: bool = True) -> Outputs:
        """Applies a signature, then runs the update ops of this application unless told not to."""
        application = self._application(name)
        feeds = {placeholder: inputs[key] for key, placeholder in application.placeholders.items()}
        values = self._session.run(application.outputs, feeds)
        if with_updates:
            self._session.run(application.updates, feeds)
        return {key: golden.components(value) for key, value in values.items()}

    def _application(self, name: str) -> "_Application":
        if name not in self._applications:
            with self._graph.as_default():
                known = len(self._graph.get_collection(tf1.GraphKeys.UPDATE_OPS))
                infos = self._module.get_input_info_dict(name)
                placeholders = {key: signature_lib.placeholder(info) for key, info in infos.items()}
                outputs = self._module(placeholders, signature=name, as_dict=True)
                updates = self._graph.get_collection(tf1.GraphKeys.UPDATE_OPS)[known:]
            self._applications[name] = _Application(placeholders, outputs, updates)
        return self._applications[name]

    def tune(self, inputs: Mapping[str, Any], *, steps: int, rate: float) -> list[str]:
        """See ModuleSide.tune; returns the names of the trainable variables without a gradient."""
        application = self._application(signature_lib.DEFAULT)
        with self._graph.as_default():
            variables = {name: self._variables[name] for name in sorted(self.trainable)}
            loss = distance(application.outputs)
            reaching = dict(zip(variables, tf.gradients(loss, list(variables.values())), strict=True))
            losses = tf.add_n([loss, *self._losses])
            gradients = dict(zip(variables, tf.gradients(losses, list(variables.values())), strict=True))
            with tf.control_dependencies([gradient for gradient in gradients.values() if gradient is not None]):
                train = [
                    tf1.assign_sub(variables[name], rate * tf.sign(tf.convert_to_tensor(gradient))).op
                    for name, gradient in gradients.items()
                    if gradient is not None
                ]
        feeds = {placeholder: inputs[key] for key, placeholder in application.placeholders.items()}
        for _ in range(steps):
            self._session.run((application.updates, train), feeds)
        return [name for name, gradient in reaching.items() if gradient is None]

    def values(self) -> dict[str, np.ndarray]:
        """dict name -> value of the variables now."""
        return {name: np.asarray(value) for name, value in self._session.run(self._variables).items()}

    def losses(self) -> list[float]:
        """See ModuleSide.losses."""
        return [float(value) for value in self._session.run(self._losses)]


class TwinSide:
    """The twin, as tf.saved_model.load returns it; used while executing eagerly.

    Attributes:
        trainable: names of the trainable variables.
        serving: names of the signatures for serving.
    """

    def __init__(self, twin_dir: str):
        self.loaded = tf.saved_model.load(twin_dir)
        self.serving = set(self.loaded.signatures)
        self.trainable = {_name(variable) for variable in self.loaded.trainable_variables}

    def has(self, name: str) -> bool:
        """Whether the twin has a callable for a signature."""
        return callable(getattr(self.loaded, twin.attribute(name), None))

    def defaults(self) -> dict[str, float | int | bool]:
        """dict hyperparameter -> what calls use that do not give it."""
        parameters = inspect.signature(self.loaded.__call__).parameters.values()
        given = {parameter.name: parameter.default for parameter in parameters}
        return {name: value for name, value in given.items() if name not in ("inputs", "training")}

    def served(
        self, name: str, inputs: Mapping[str, Any], infos: Mapping[str, signature_lib.ParsedTensorInfo]
    ) -> Outputs:
        """What a signature returns in serving; composite values are taken apart, see twin.serving_arguments.

        Args:
            name: of the signature for serving.
            inputs: of the signature of the module.
            infos: of these inputs.
        """
        flat = {
            served: component
            for key, parts in twin.serving_arguments(infos).items()
            for (served, _), component in zip(parts, signature_lib.components(_tensor(inputs[key])), strict=True)
        }
        return {key: [value.numpy()] for key, value in self.loaded.signatures[name](**flat).items()}

    def outputs(self, name: str, inputs: Mapping[str, Any]) -> Outputs:
        """See ModuleSide.outputs."""
        return self._call(name, inputs, training=False)

    def variables(self) -> dict[str, np.ndarray]:
        """See ModuleSide.variables."""
        return {_name(variable): variable.numpy() for variable in self.loaded.variables}

    def losses(self) -> list[float]:
        """See ModuleSide.losses."""
        return [float(loss()) for loss in self.loaded.regularization_losses]

    def step(
        self, name: str, inputs: Mapping[str, Any], scalars: Scalars
    ) -> tuple[Outputs, dict[str, np.ndarray]]:
        """See ModuleSide.step."""
        with self._restored(), _as_written():
            return self._call(name, inputs, training=True, **scalars), self.variables()

    def tune(self, inputs: Mapping[str, Any], *, steps: int, rate: float) -> Tuned:
        """See ModuleSide.tune; through Model.fit of a Keras model around the twin."""
        with self._restored():
            model = _around(self.loaded, rate)
            tensors = {key: _tensor(value) for key, value in inputs.items()}
            features = next(iter(tensors.values())) if len(tensors) == 1 else tensors
            model.compile(run_eagerly=True)
            model.fit(tf.data.Dataset.from_tensors((features, 0.0)).repeat(steps), verbose=0)
            return Tuned(self.variables(), sorted(model.without_gradient))

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        before = self.variables()
        try:
            yield
        finally:
            for variable in self.loaded.variables:
                variable.assign(before[_name(variable)])

    def _call(self, name: str, inputs: Mapping[str, Any], **arguments: Any) -> Outputs:
        function = self.loaded if name == signature_lib.DEFAULT else getattr(self.loaded, name)
        tensors = {key: _tensor(value) for key, value in inputs.items()}
        if tensors:
            function = functools.partial(function, next(iter(tensors.values())) if len(tensors) == 1 else tensors)
        outputs = function(**arguments)
        outputs = outputs if isinstance(outputs, Mapping) else {signature_lib.DEFAULT: outputs}
        return {
            key: [component.numpy() for component in signature_lib.components(value)]
            for key, value in outputs.items()
        }


@contextlib.contextmanager
def _as_written() -> Iterator[None]:
    """Runs functions op by op as they are written, like the session that trains the module.

    TensorFlow's optimizer rewrites a session's graph and a function in different ways. With the statistics of a
    batch that hardly varies, such as pictures of one colour, the order of a sum is then seen in the outputs.
    """
    option = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(option, False)
    tf.config.optimizer.set_experimental_options({option: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: before})


def is_same(first: Outputs, second: Outputs) -> bool:
    """Whether two results of a signature hold the same bytes."""
    return all(
        is_equal(left, right) for key in first for left, right in zip(first[key], second[key], strict=True)
    )


def is_equal(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays hold the same bytes, or the same strings."""
    left, right = np.asarray(left), np.asarray(right)
    if left.dtype.kind in "OSU" or right.dtype.kind in "OSU":
        first, second = (list(map(tf.compat.as_bytes, array.ravel().tolist())) for array in (left, right))
        return left.shape == right.shape and first == second
    if (left.shape, left.dtype) != (right.shape, right.dtype):
        return False
    if left is right or left.size == 0:
        return True
    words = np.dtype(f"u{left.itemsize}") if left.itemsize in (1, 2, 4, 8) else np.dtype("u1")
    first, second = (np.ascontiguousarray(array).view(words) for array in (left, right))
    return bool(np.array_equal(first, second))


def _around(loaded, rate: float) -> tf.keras.Model:
    """A Keras model, of Keras 2 or 3, that fine-tunes a twin."""

    class Around(tf.keras.Model):
        without_gradient: set[str] = set()

        def call(self, inputs, training=False):
            outputs = loaded(inputs, training=training)
            return outputs if isinstance(outputs, Mapping) else {signature_lib.DEFAULT: outputs}

        def train_step(self, data):
            variables = loaded.trainable_variables
            # Under one persistent tape TensorFlow asks for gradients of gradients, which not all ops have.
            with tf.GradientTape() as tape:
                loss = distance(self(data[0], training=True))
            pulls = tape.gradient(loss, variables)
            with tf.GradientTape() as tape:
                penalty = tf.add_n([tf.zeros([]), *(term() for term in loaded.regularization_losses)])
            for variable, *gradients in zip(variables, pulls, tape.gradient(penalty, variables), strict=True):
                if gradients[0] is None:
                    self.without_gradient.add(_name(variable))
                found = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
                if found:
                    variable.assign_sub(rate * tf.sign(tf.add_n(found)))
            return {"loss": loss + penalty}

    return Around()


def _relative(name: str) -> str:
    """The name of a variable in the module, without the module's scope."""
    return name.partition("/")[2]


def _name(variable: tf.Variable) -> str:
    return variable.name.partition(":")[0]


def _tensor(value):
    if isinstance(value, tf1.SparseTensorValue):
        return tf.SparseTensor.from_value(value)
    if isinstance(value, tf1.ragged.RaggedTensorValue):
        return tf.RaggedTensor.from_nested_row_splits(value.flat_values, value.nested_row_splits)
    return tf.convert_to_tensor(value)
