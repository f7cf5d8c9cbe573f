"""The modules that a model_fn registers for export, and their values in a checkpoint."""

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator
from hubpipe.hub import module as module_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variables as variables_lib

ServingInputFn = Callable[[], tf_estimator.export.ServingInputReceiver]


class RegisteredModule:
    """A module to export, with its values in a checkpoint.

    Attributes:
        export_name: the name it was registered with.
        spec: what it is.
        tags: those of the graph variant that the model_fn uses in the mode PREDICT.
    """

    def __init__(
        self,
        export_name: str,
        module: module_lib.Module,
        head: Sequence[tf.Variable],
        saver: tf1.train.Saver | None,
        config: tf1.ConfigProto | None,
    ):
        """Takes a module from a PREDICT graph.

        Args:
            export_name: the name it was registered with.
            module: the module.
            head: the variables of the graph that belong to no module.
            saver: the model_fn's own, if it says itself how a checkpoint is read, such as averages for weights.
            config: of sessions.
        """
        self.export_name = export_name
        self.spec = module.spec
        self.tags = module.tags
        self._module = module
        self._head = _by_checkpoint_name(head)
        self._saver = saver
        self._config = config
        self._application: tuple[tf1.train.Saver, dict, dict] | None = None

    def export(self, path: str, checkpoint_path: str) -> None:
        """Writes the module; see ModuleSpec.export."""
        if self._saver is None:
            names = self._module.checkpoint_names()
            self.spec.export(path, checkpoint_path=checkpoint_path, name_transform_fn=names.__getitem__)
            return
        with self._restored(self._saver, checkpoint_path) as session:
            self._module.export(path, session)

    def export_head(self, prefix: str, checkpoint_path: str) -> None:
        """Writes the variables of the model that belong to no module, if there are any, as a tensor bundle.

        Args:
            prefix: of the bundle.
            checkpoint_path: prefix of the checkpoint.
        """
        if not self._head:
            return
        if self._saver is None:
            variables_lib.Checkpoint(checkpoint_path).copy({name: name for name in self._head}, prefix)
        else:
            with self._restored(self._saver, checkpoint_path) as session:
                variables_lib.write_from_session(self._head, session, prefix)

    def outputs(self, checkpoint_path: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the signature "default" returns in the model's own graph.

        Args:
            checkpoint_path: prefix of the checkpoint.
            inputs: dict name -> value.
        Returns:
            dict name -> numpy array, or value of a sparse or ragged tensor.
        """
        with self._module.graph.as_default():
            if self._application is None:
                infos = self._module.get_input_info_dict()
                placeholders = {key: signature_lib.placeholder(info) for key, info in infos.items()}
                saver = self._saver or tf1.train.Saver(self._module.variables, allow_empty=True)
                self._application = saver, placeholders, self._module(placeholders, as_dict=True)
        saver, placeholders, outputs = self._application
        with self._restored(saver, checkpoint_path) as session:
            return session.run(outputs, {placeholder: inputs[key] for key, placeholder in placeholders.items()})

    @contextlib.contextmanager
    def _restored(self, saver: tf1.train.Saver, checkpoint_path: str) -> Iterator[tf1.Session]:
        with self._module.graph.as_default(), tf1.Session(config=self._config) as session:
            saver.restore(session, checkpoint_path)
            session.run(tf1.tables_initializer())
            yield session


class RegisteredModules:
    """Finds the registered modules of an Estimator, building its PREDICT graph once.

    Args:
        serving_input_fn: function without arguments that returns a ServingInputReceiver.
    """

    def __init__(self, serving_input_fn: ServingInputFn):
        self._serving_input_fn = serving_input_fn
        self._found: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()

    def of(self, estimator: tf_estimator.Estimator) -> list[RegisteredModule]:
        """The modules that the Estimator's model_fn registers in the mode PREDICT; empty if there are none."""
        if estimator not in self._found:
            self._found[estimator] = self._find(estimator)
        return self._found[estimator]

    def _find(self, estimator: tf_estimator.Estimator) -> list[RegisteredModule]:
        # An own graph: an exporter may be called while the graph of the training is the default.
        with tf.Graph().as_default() as graph:
            tf1.set_random_seed(estimator.config.tf_random_seed)
            tf1.train.create_global_step()
            features = self._serving_input_fn().features
            spec = estimator.model_fn(features, None, tf_estimator.ModeKeys.PREDICT, estimator.config)
            modules = module_lib.registered_modules(graph)
            saver, config = spec.scaffold.saver, estimator.config.session_config
            inside = {variable.op.name for _, module in modules for variable in module.variables}
            inside.add(tf1.train.get_global_step(graph).op.name)
            head = [variable for variable in tf1.global_variables() if variable.op.name not in inside]
            return [RegisteredModule(name, module, head, saver, config) for name, module in modules]


def _by_checkpoint_name(variables: Sequence[tf.Variable]) -> dict[str, list[tf.Variable]]:
    found: dict[str, list[tf.Variable]] = {}
    for variable in variables:
        sliced = variable._get_save_slice_info()
        found.setdefault(sliced.full_name if sliced else variable.op.name, []).append(variable)
    return found
