"""BestModuleExporter: a version of the registered modules for every checkpoint that beats the best before it."""

import dataclasses
import hashlib
import math
import os
import uuid
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import registered, select, twins
from hubpipe.files import atomic, paths
from hubpipe.store import layout
from hubpipe.store import store as store_lib

RECORD_FILE = "best.json"


class BestModuleExporter(tf_estimator.Exporter):
    """Exports the registered modules when a checkpoint is the best so far.

    Each becomes a version `<store_dir>/<export name>/<number>`, a TF1 Hub module with a manifest. `best.json` in
    the export path records what was evaluated and exported. It is written after the versions and compared with
    them at the first export of a process: a kill at any moment neither loses a best nor exports a worse one.

        exporter = BestModuleExporter("best", serving_input_fn, metric="accuracy", higher_is_better=True)
        eval_spec = estimator.EvalSpec(input_fn, exporters=[exporter])
    """

    def __init__(
        self,
        name: str,
        serving_input_fn: registered.ServingInputFn,
        metric: str,
        higher_is_better: bool,
        *,
        store_dir: str | None = None,
        exports_to_keep: int = 5,
        min_improvement: float = 0.0,
        twin: bool = True,
        golden_inputs: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
        extra_files: Mapping[str, bytes] | None = None,
    ):
        """Creates the exporter; called before the graph exists.

        Args:
            name: of the exporter; train_and_evaluate exports to `<model_dir>/export/<name>`.
            serving_input_fn: function without arguments that returns a ServingInputReceiver, whose features the
                model_fn takes in the mode PREDICT.
            metric: name of the metric in the eval_result.
            higher_is_better: its direction.
            store_dir: where versions go; None for the export path.
            exports_to_keep: how many of the newest versions stay; the best and the current always do.
            min_improvement: by how much a value must beat the best.
            twin: whether each version carries its TF2 twin in `tf2/`, compared with the module and with the
                graph that was trained.
            golden_inputs: inputs of the signature "default" to compare them on, dict name -> value, such as some
                rows of the evaluation data; they are stored in the version. None to make some up.
            manifest: further facts for the manifest of each version, JSON values; those of the exporter win.
            extra_files: dict name -> contents of further files for `assets.extra/hubpipe`.
        Raises:
            ExportArgumentError: exports_to_keep is not positive.
        """
        if exports_to_keep <= 0:
            raise errors.ExportArgumentError(
                f"`exports_to_keep` must be a positive number; got {exports_to_keep!r}."
            )
        self._name = name
        self._metric = metric
        self._higher_is_better = higher_is_better
        self._store_dir = store_dir
        self._exports_to_keep = exports_to_keep
        self._min_improvement = min_improvement
        self._manifest = dict(manifest or {})
        self._extra_files = dict(extra_files or {})
        self._twins = twins.Twins(golden_inputs) if twin else None
        self._modules = registered.RegisteredModules(serving_input_fn)
        self._record: select.Record | None = None

    @property
    def name(self) -> str:
        """The exporter's name, the directory under `<model_dir>/export`."""
        return self._name

    def record(self, estimator: tf_estimator.Estimator, export_path: str) -> select.Record:
        """What the run evaluated and exported so far, in agreement with the store.

        Raises:
            ExportError: the model_fn registered no module, or the record is of another metric.
            FormatError: best.json is broken.
        """
        if paths.local(export_path) is None:
            raise errors.ExportError(
                f"{export_path}: BestModuleExporter keeps {RECORD_FILE} on a local file system; "
                "use a local model_dir."
            )
        if self._record is None:
            self._record = self._reconcile(export_path, self._stores(estimator, export_path))
        return self._record

    def export(
        self,
        estimator: tf_estimator.Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> str | None:
        """Exports the modules if the checkpoint is the best so far.

        Args:
            estimator: the Estimator.
            export_path: directory of best.json, and of the versions if there is no store_dir.
            checkpoint_path: prefix of the checkpoint that was evaluated.
            eval_result: dict metric -> value, with global_step, and select.AVERAGED if it is an average.
            is_the_final_export: not used.
        Returns:
            Path of the first module's version; None if the checkpoint is not the best.
        Raises:
            ExportError: no module is registered, or the evaluation lacks the metric or the global_step.
            ParityError: the module, its twin and the trained graph are not the same model; nothing is published.
            FormatError: best.json is broken.
        """
        record = self.record(estimator, export_path)
        value = select.metric_value(eval_result, self._metric)
        evaluation = select.Evaluation(
            int(select.metric_value(eval_result, "global_step")), value, checkpoint_digest(checkpoint_path)
        )
        if record.evaluated(evaluation.step, evaluation.checkpoint):
            return None
        record = record.with_evaluation(evaluation)
        best = record.best
        if not record.is_better(value, best and best.value, min_improvement=self._min_improvement):
            self._settle(export_path, record)
            return None
        versions = {}
        for module in self._modules.of(estimator):
            store = self._store(export_path, module.export_name)
            versions[store] = self._publish(store, module, checkpoint_path, record, evaluation, eval_result)
        # Not before all are there: a crash between two leaves versions current that belong together.
        for store, version in versions.items():
            store.promote(version.number)
        numbers = {store.name: version.number for store, version in versions.items()}
        self._settle(export_path, record.with_evaluation(dataclasses.replace(evaluation, versions=numbers)))
        return next(iter(versions.values())).path

    def _publish(
        self,
        store: store_lib.Store,
        module: registered.RegisteredModule,
        checkpoint_path: str,
        record: select.Record,
        evaluation: select.Evaluation,
        eval_result: Mapping[str, Any],
    ) -> store_lib.Version:
        parent = store.current_number()
        with store.new_version() as draft:
            module.export(draft.path, checkpoint_path)
            twin = self._twins.add(draft.path, module, checkpoint_path) if self._twins else None
            extra = os.path.join(draft.path, layout.EXTRA)
            os.makedirs(extra, exist_ok=True)
            module.export_head(os.path.join(draft.path, layout.HEAD), checkpoint_path)
            for name, contents in self._extra_files.items():
                atomic.write_file(os.path.join(extra, name), contents)
            draft.describe(**self._manifest)
            draft.describe(
                name=module.export_name,
                parent=parent,
                run_id=record.run_id,
                step=evaluation.step,
                checkpoint=evaluation.checkpoint,
                averaged_checkpoints=eval_result.get(select.AVERAGED),
                oldest_reader=module.spec.oldest_reader,
                twin=twin,
                selection={
                    "metric": self._metric,
                    "higher_is_better": self._higher_is_better,
                    "value": evaluation.value,
                },
                metrics=_json_metrics(eval_result),
            )
        return draft.version

    def _settle(self, export_path: str, record: select.Record) -> None:
        """Makes the record what is on disk, then deletes versions that need not stay."""
        os.makedirs(export_path, exist_ok=True)
        select.write(os.path.join(export_path, RECORD_FILE), record)
        self._record = record
        best = record.best
        if best:
            for name, number in best.versions.items():
                self._store(export_path, name).collect(self._exports_to_keep, protected=[number])

    def _reconcile(self, export_path: str, stores: list[store_lib.Store]) -> select.Record:
        for directory in (export_path, *(store.path for store in stores)):
            atomic.sweep_staging(directory)
        path = os.path.join(export_path, RECORD_FILE)
        try:
            record = select.read(path)
        except FileNotFoundError:
            record = select.Record(uuid.uuid4().hex, self._metric, self._higher_is_better)
            os.makedirs(export_path, exist_ok=True)
            select.write(path, record)  # the versions to come name its run_id
        if (record.metric, record.higher_is_better) != (self._metric, self._higher_is_better):
            raise errors.ExportError(
                f"{path}: selects by {record.metric!r} (higher_is_better={record.higher_is_better}), not by "
                f"{self._metric!r} (higher_is_better={self._higher_is_better}). Use another model_dir."
            )
        existing = {store.name: [version.number for version in store.versions()] for store in stores}
        reconciled = record.reconciled(_published(stores, record.run_id), existing)
        if reconciled == record:
            return record
        if reconciled.best and reconciled.best != record.best:
            for name, number in reconciled.best.versions.items():
                self._store(export_path, name).promote(number)
        self._settle(export_path, reconciled)
        return reconciled

    def _stores(self, estimator: tf_estimator.Estimator, export_path: str) -> list[store_lib.Store]:
        modules = self._modules.of(estimator)
        if not modules:
            raise errors.ExportError(
                f"Exporter {self._name!r}: the model_fn registered no module to export. "
                "Call hub.register_module_for_export(module, name) in it, in the mode PREDICT, too."
            )
        return [self._store(export_path, module.export_name) for module in modules]

    def _store(self, export_path: str, export_name: str) -> store_lib.Store:
        return store_lib.Store(self._store_dir or export_path, export_name)


def checkpoint_digest(checkpoint_path: str) -> str:
    """SHA-256 of a checkpoint's index, which tells its tensors by their checksums; 64 hexadecimal digits."""
    with tf.io.gfile.GFile(checkpoint_path + ".index", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _published(stores: list[store_lib.Store], run_id: str) -> list[select.Evaluation]:
    """The evaluations of a run whose modules were all published, according to their manifests."""
    found: dict[tuple, dict[str, int]] = {}
    for store in stores:
        for version in store.versions():
            try:
                manifest = version.manifest()
            except errors.HubpipeError:  # put there by someone else
                continue
            if manifest.get("run_id") == run_id:
                key = (manifest["step"], manifest["selection"]["value"], manifest["checkpoint"])
                found.setdefault(key, {})[store.name] = version.number
    return [select.Evaluation(*key, versions) for key, versions in found.items() if len(versions) == len(stores)]


def _json_metrics(eval_result: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics as JSON numbers; null for what is not finite or no number."""
    metrics = {}
    for name, value in eval_result.items():
        if name in ("global_step", select.AVERAGED):
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        metrics[name] = number if math.isfinite(number) else None
    return dict(sorted(metrics.items()))
