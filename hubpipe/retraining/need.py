"""Is there something to learn? Pure functions over configs and manifests."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Where things are, and how often they are looked at: what does not change the model.
_ELSEWHERE = ("model_dir", "store", "gates", "retrain")


def run_key(data: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """The key of a job that nobody gave one: the same data and the same config are the same job.

    Args:
        data: dict "train", "eval" -> fingerprint.
        config: the config as JSON values.
    """
    identity = json.dumps([dict(sorted(data.items())), _model_config(config)], sort_keys=True)
    return "data-" + hashlib.sha256(identity.encode()).hexdigest()[:16]


def rules_digest(config: Mapping[str, Any]) -> str:
    """A digest of what a job that published nothing was judged by: others judge it anew.

    Args:
        config: the config as JSON values.
    """
    identity = json.dumps([config["gates"], config["retrain"]["min_new_rows"]], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def reason_to_skip(
    manifest: Mapping[str, Any],
    *,
    data: Mapping[str, str],
    num_train: int,
    config: Mapping[str, Any],
    min_new_rows: int,
) -> str | None:
    """Why retraining would teach nothing that the current version does not know; None if it may.

    Args:
        manifest: of the current version; one without data or config gives no reason.
        data: dict "train", "eval" -> fingerprint of the data now.
        num_train: training rows now.
        config: the config now, as JSON values.
        min_new_rows: how many rows more than the current version had are worth a job.
    """
    known = manifest.get("data") or {}
    if "fingerprint" not in known or _model_config(manifest.get("config") or {}) != _model_config(config):
        return None
    if known["fingerprint"] == dict(data):
        return f"the data and the config are those of version {manifest['version']}"
    before = (known.get("rows") or {}).get("train")
    if before is not None and 0 <= num_train - before < min_new_rows:
        return f"{num_train - before} new training rows, retrain.min_new_rows is {min_new_rows}"
    return None


def _model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that decides the model; paths of data count by their fingerprint."""
    kept = {key: value for key, value in config.items() if key not in _ELSEWHERE}
    inputs = dict(kept.get("inputs") or {})
    for split in ("train", "eval"):
        inputs.pop(split, None)
    return {**kept, "inputs": inputs}
