"""The modules that a model_fn registers for export, and their values in a checkpoint."""

import dataclasses
import weakref
from collections.abc import Callable

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator
from hubpipe.hub import module as module_lib
from hubpipe.hub import spec as spec_lib

ServingInputFn = Callable[[], tf_estimator.export.ServingInputReceiver]


@dataclasses.dataclass(frozen=True)
class RegisteredModule:
    """A module to export, and where its variables are in a checkpoint.

    Attributes:
        export_name: the name it was registered with.
        spec: what it is.
        export: function (path, checkpoint_path) that writes it with its values in a checkpoint.
    """

    export_name: str
    spec: spec_lib.ModuleSpec
    export: Callable[[str, str], None]


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
            if spec.scaffold.saver is None:
                return [RegisteredModule(name, module.spec, _from_checkpoint(module)) for name, module in modules]
            # The model_fn says itself how a checkpoint is read, such as averages in place of weights.
            restore = _Restorer(graph, spec.scaffold.saver, estimator.config.session_config)
            return [RegisteredModule(name, module.spec, restore.exporting(module)) for name, module in modules]


def _from_checkpoint(module: module_lib.Module) -> Callable[[str, str], None]:
    names = {name: _checkpoint_name(variable) for name, variable in module.variable_map.items()}

    def export(path: str, checkpoint_path: str) -> None:
        module.spec.export(path, checkpoint_path=checkpoint_path, name_transform_fn=names.__getitem__)

    return export


def _checkpoint_name(variable) -> str:
    """The name under which a Saver writes a variable, or a partitioned variable's parts."""
    if isinstance(variable, list):
        return variable[0]._get_save_slice_info().full_name
    return variable.op.name


class _Restorer:
    """Exports modules from sessions that a model_fn's own saver restores."""

    def __init__(self, graph: tf.Graph, saver: tf1.train.Saver, session_config: tf1.ConfigProto | None):
        self._graph = graph
        self._saver = saver
        self._session_config = session_config

    def exporting(self, module: module_lib.Module) -> Callable[[str, str], None]:
        def export(path: str, checkpoint_path: str) -> None:
            with self._graph.as_default(), tf1.Session(config=self._session_config) as session:
                self._saver.restore(session, checkpoint_path)
                module.export(path, session)

        return export
