"""What a model_dir holds besides checkpoints: the lock, the config, and what must stay as it was."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from hubpipe import errors
from hubpipe.config import dump, schema
from hubpipe.files import atomic, locks, records

CONFIG_FILE = "config.yaml"
RUN_FILE = "run.json"
_LOCK_FILE = ".lock"


# Of models without an encoder of hubpipe's own, the keys that decide the weights.
_FIXED_KEYS = {
    schema.KerasModel: ("build_fn", "params", "vocabulary"),
    schema.CustomModel: ("module_fn", "params", "vocabulary"),
    schema.ImportedModel: ("module", "trainable", "signature", "output", "hidden_units"),
}


@contextlib.contextmanager
def owned(model_dir: str, *, name: str = _LOCK_FILE) -> Iterator[None]:
    """Keeps other runs out of a model_dir, which is made if it is absent.

    Args:
        model_dir: the run's directory.
        name: of the lock's file, if it is not the run that is one at a time but a part of it.
    Raises:
        TrainingError: another run is in it.
    """
    os.makedirs(model_dir, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.locked(os.path.join(model_dir, name), wait=False))
        except BlockingIOError as error:
            raise errors.TrainingError(
                f"{model_dir}: another run is training there. Wait for it, or use another model_dir."
            ) from error
        yield


def start(model_dir: str, config: schema.Config, data: Mapping[str, str]) -> None:
    """Records the config, after checking that the weights and the best of an earlier run in the model_dir fit it.

    Args:
        model_dir: the run's directory.
        config: of the run.
        data: dict "train", "eval" -> fingerprint of the data.
    Raises:
        ConfigError: the model_dir is of another module, encoder, head or optimizer, or of other data.
    """
    path = os.path.join(model_dir, RUN_FILE)
    fixed = {
        # What the shapes and the meaning of the weights depend on.
        **_fixed_encoder(config.model_fn),
        **_fixed_head(config.model_fn.head),
        "optimizer.kind": config.optimizer.kind,
        "the fingerprint of inputs.train": data["train"],
        # What makes the evaluations comparable, and the versions those of one module.
        "the fingerprint of inputs.eval": data["eval"],
        "name": config.name,
    }
    with contextlib.suppress(FileNotFoundError):
        _check_same(model_dir, records.read(path).get("fixed", {}), fixed)
    atomic.sweep_staging(model_dir)
    atomic.write_file(os.path.join(model_dir, CONFIG_FILE), dump.dump(config).encode())
    records.write(path, {"fixed": fixed})


def _fixed_encoder(model: schema.Model) -> dict[str, Any]:
    found = model.model_dump(mode="json")
    if type(model) in _FIXED_KEYS:
        return {f"model_fn.{key}": found[key] for key in _FIXED_KEYS[type(model)]}
    # A checkpoint is read into any number of parts.
    kept = {key: value for key, value in found["encoder"].items() if key != "partitions"}
    encoder = {f"model_fn.encoder.{key}": value for key, value in kept.items()}
    return {**encoder, "model_fn.batch_norm.enabled": model.batch_norm.enabled}


def _fixed_head(head: schema.Head) -> dict[str, Any]:
    own = {"head_fn": head.head_fn, "params": head.params} if isinstance(head, schema.CustomHead) else {}
    return {f"model_fn.head.{key}": value for key, value in {"kind": head.kind, **own}.items()}


def _check_same(model_dir: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        f"{key} was {before.get(key)!r}, is {value!r}" for key, value in now.items() if before.get(key) != value
    ]
    if changed:
        told = f"{model_dir}: its checkpoints are of another run: {'; '.join(changed)}."
        advice = (
            "Give this run a model_dir of its own (a job of hubpipe.retrain another --run_key), or remove that "
            "directory to start anew."
        )
        raise errors.ConfigError([f"{told} {advice}"])
