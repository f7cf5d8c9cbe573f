"""A module and its twin, loaded from disk to be asked the same questions."""

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.files import records
from hubpipe.hub import module as module_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import spec
from hubpipe.saved_model import golden, twin, write

Outputs = dict[str, list[np.ndarray]]
Scalars = Mapping[str, float | int | bool]


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

    def losses(self) -> dict[str, float]:
        """dict name -> value of the regularization losses."""
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
            names = module_spec.variant(tags).names(tf1.GraphKeys.REGULARIZATION_LOSSES)
            losses = self._graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
            self._losses = dict(zip(names, losses, strict=True)) if losses else {}
            trainables = self._graph.get_collection(tf1.GraphKeys.TRAINABLE_VARIABLES)
            self.trainable = {_relative(variable.op.name) for variable in trainables}
        self._applications: dict[str, _Application] = {}
        self._session = tf1.Session(graph=self._graph)
        self.reset()

    def reset(self) -> None:
        """Gives the variables the values on disk."""
        self._session.run(self._initialize)

    def run(self, name: str, inputs: Mapping[str, Any]) -> Outputs:
        """Applies a signature, then runs the update ops of this application."""
        application = self._application(name)
        feeds = {placeholder: inputs[key] for key, placeholder in application.placeholders.items()}
        values = self._session.run(application.outputs, feeds)
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

    def values(self) -> dict[str, np.ndarray]:
        """dict name -> value of the variables now."""
        return {name: np.asarray(value) for name, value in self._session.run(self._variables).items()}

    def losses(self) -> dict[str, float]:
        """dict name -> value of the regularization losses now."""
        return {name: float(value) for name, value in self._session.run(self._losses).items()}


class TwinSide:
    """The twin, as tf.saved_model.load returns it; used while executing eagerly.

    Attributes:
        trainable: names of the trainable variables.
        facts: what TwinWriter says of it.
    """

    def __init__(self, twin_dir: str):
        self.loaded = tf.saved_model.load(twin_dir)
        self.facts = records.read(os.path.join(twin_dir, write.FACTS_FILE))
        self.trainable = {_name(variable) for variable in self.loaded.trainable_variables}

    def has(self, name: str) -> bool:
        """Whether the twin has a callable for a signature."""
        return name == signature_lib.DEFAULT or hasattr(self.loaded, name)

    def outputs(self, name: str, inputs: Mapping[str, Any]) -> Outputs:
        """See ModuleSide.outputs."""
        return self._call(name, inputs, training=False)

    def variables(self) -> dict[str, np.ndarray]:
        """See ModuleSide.variables."""
        return {_name(variable): variable.numpy() for variable in self.loaded.variables}

    def losses(self) -> dict[str, float]:
        """See ModuleSide.losses."""
        names, losses = self.facts["regularization_losses"], self.loaded.regularization_losses
        return {name: float(loss()) for name, loss in zip(names, losses, strict=True)}

    def step(
        self, name: str, inputs: Mapping[str, Any], scalars: Scalars
    ) -> tuple[Outputs, dict[str, np.ndarray]]:
        """See ModuleSide.step."""
        with self._restored():
            return self._call(name, inputs, training=True, **scalars), self.variables()

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
