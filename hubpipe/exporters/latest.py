"""LatestModuleExporter: the registered modules of every evaluated checkpoint."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from absl import logging

from hubpipe import errors
from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import registered
from hubpipe.files import atomic, paths


class LatestModuleExporter(tf_estimator.Exporter):
    """Exports the registered modules to `<export_path>/<seconds since 1970>/<export name>`.

    Only the newest directories stay. Goes into `tf.estimator.EvalSpec(exporters=[...])`:

        def model_fn(features, labels, mode):
            module = hub.Module(spec, name="encoder", trainable=True)
            hub.register_module_for_export(module, "encoder")
            ...

        exporter = LatestModuleExporter("tf_hub", serving_input_fn)
        eval_spec = estimator.EvalSpec(input_fn, exporters=[exporter])
    """

    def __init__(self, name: str, serving_input_fn: registered.ServingInputFn, exports_to_keep: int | None = 5):
        """Creates the exporter; called before the graph exists.

        Args:
            name: of the exporter; train_and_evaluate exports to `<model_dir>/export/<name>`.
            serving_input_fn: function without arguments that returns a ServingInputReceiver, whose features the
                model_fn takes in the mode PREDICT.
            exports_to_keep: how many exports stay; None for all.
        Raises:
            ExportArgumentError: exports_to_keep is not positive.
        """
        if exports_to_keep is not None and exports_to_keep <= 0:
            raise errors.ExportArgumentError(
                f"`exports_to_keep`, if provided, must be a positive number; got {exports_to_keep!r}."
            )
        self._name = name
        self._exports_to_keep = exports_to_keep
        self._modules = registered.RegisteredModules(serving_input_fn)

    @property
    def name(self) -> str:
        """The exporter's name, the directory under `<model_dir>/export`."""
        return self._name

    def export(
        self,
        estimator: tf_estimator.Estimator,
        export_path: str,
        checkpoint_path: str | None = None,
        eval_result: dict | None = None,
        is_the_final_export: bool | None = None,
    ) -> bytes | None:
        """Exports the registered modules.

        Args:
            estimator: the Estimator.
            export_path: directory of the exports.
            checkpoint_path: prefix of the checkpoint; None for the newest.
            eval_result: not used.
            is_the_final_export: not used.
        Returns:
            Path of the export; None, and no directory, if the model_fn registered no module.
        Raises:
            ExportError: there is no checkpoint.
        """
        checkpoint_path = checkpoint_path or estimator.latest_checkpoint()
        if not checkpoint_path:
            raise errors.ExportError(f"{estimator.model_dir}: there is no checkpoint to export; train first.")
        modules = self._modules.of(estimator)
        if not modules:
            logging.warning(
                "LatestModuleExporter found zero modules to export. "
                "Use hub.register_module_for_export() if needed."
            )
            return None
        final = os.path.join(export_path, str(_fresh_seconds(export_path)))
        with _staged(final) as staging:
            for module in modules:
                module.export(os.path.join(staging, module.export_name), checkpoint_path)
        self._delete_old(export_path)
        return tf.compat.as_bytes(final)

    def _delete_old(self, export_path: str) -> None:
        if self._exports_to_keep is not None:
            for seconds in _exports(export_path)[: -self._exports_to_keep]:
                tf.io.gfile.rmtree(os.path.join(export_path, str(seconds)))


def _exports(export_path: str) -> list[int]:
    """The exports in a directory, oldest first; other names are left alone."""
    if not tf.io.gfile.isdir(export_path):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(export_path))  # object stores list "name/"
    return sorted(int(name) for name in names if len(name) == 10 and name.isdecimal() and name.isascii())


def _fresh_seconds(export_path: str) -> int:
    """The time, or the second after the newest export if that is later."""
    return max([int(time.time()), *(seconds + 1 for seconds in _exports(export_path)[-1:])])


@contextmanager
def _staged(path: str) -> Iterator[str]:
    """A directory that has the path's name when the block ends, and is gone if it fails.

    Locally it is renamed once complete. Elsewhere, where renaming a directory is copying at best, it has its name
    from the start, and what lacks tfhub_module.pb is no module.
    """
    local = paths.local(path)
    if local is not None:
        atomic.sweep_staging(os.path.dirname(local))
        with atomic.publish_dir(local) as staging:
            yield staging
        return
    tf.io.gfile.makedirs(path)
    try:
        yield path
    except BaseException:
        tf.io.gfile.rmtree(path)
        raise
