"""Can a consumer fine-tune it? Tried on the files, in a fresh process, through hub.Module and through Keras.

A few steps must change every trainable variable, leave the others to the update ops, and move the moving averages;
the regularization losses must be those that were configured; hyperparameters must take effect.

Source: "Exporting models in the TF1 Hub format", Advice for publishers; tensorflow/hub issues 85 and 86.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hubpipe import errors
from hubpipe.gates import result
from hubpipe.hub import read
from hubpipe.hub import signature as signature_lib
from hubpipe.saved_model import golden, isolated, sides, twin

GATE = "fine_tuning"
_STEPS = 3
_RATE = 1e-3
_LOSS_TOLERANCE = 1e-5  # relative; sums of float32
_MOVING_AVERAGE = re.compile(r"(^|/)moving_(mean|variance)(/|$)")
_LOW, _HIGH = 0.0, 0.9  # settings of a hyperparameter whose effects must differ

Regularizers = Mapping[str, Mapping[str, float]]


def check(
    module_dir: str,
    twin_dir: str | None = None,
    *,
    golden_path: str | None = None,
    regularizers: Regularizers | None = None,
) -> result.Result:
    """Fine-tunes a module, and its twin, in a fresh process.

    Args:
        module_dir: a TF1 Hub module.
        twin_dir: its twin, None if it has none.
        golden_path: archive whose inputs of the signature "default" are used; None to make some up.
        regularizers: dict variable -> {"l1": ..., "l2": ...}, what was configured: the losses must amount to the
            sum of l1 * sum(|w|) + l2 * sum(w ** 2); None if that is not known.
    Returns:
        The gate's answer.
    """
    try:
        found = isolated.call_in_process(
            "hubpipe.gates.fine_tuning:probe", module_dir=module_dir, twin_dir=twin_dir, golden_path=golden_path
        )
    except errors.HubpipeError as error:
        return result.Result(GATE, [str(error)])
    problems, notes = [], []
    for side, facts in found.items():
        problems += [f"{side}: {problem}" for problem in _problems(facts, regularizers)]
        trained, moved = len(facts["trainable"]), len(facts["moved"])
        losses = f"{len(facts['losses'])} losses, together {sum(facts['losses']):.6g}"
        notes.append(f"{side}: {trained} variables trained, {moved} moved by update ops, {losses}")
    if regularizers is None:
        notes.append("regularization losses: what was configured is not known")
    return result.Result(GATE, problems, notes, found)


def probe(module_dir: str, twin_dir: str | None, golden_path: str | None) -> dict[str, dict[str, Any]]:
    """What fine-tuning does to a module and to its twin, as JSON values; called in a process of its own."""
    spec = read.load_module_spec(module_dir)
    variant = spec.variant(twin.inference_tags(spec.get_tags()))
    infos = variant.inputs(signature_lib.DEFAULT)
    inputs = golden.load(golden_path, infos)[0] if golden_path else golden.make(infos)
    defaults = twin.hyperparameters(variant)
    asked = {"hub.Module": sides.ModuleSide(spec)}
    if twin_dir is not None:
        asked["Keras"] = sides.TwinSide(twin_dir)
    return {name: _probe(side, inputs, defaults) for name, side in asked.items()}


def _probe(
    side: sides.ModuleSide | sides.TwinSide, inputs: Mapping[str, Any], defaults: sides.Scalars
) -> dict[str, Any]:
    before = side.variables()
    quiet = {name: _LOW if _is_dropout(name) else value for name, value in defaults.items()}
    _, after_step = side.step(signature_lib.DEFAULT, inputs, quiet)
    tuned = side.tune(inputs, steps=_STEPS, rate=_RATE)
    return {
        "trainable": sorted(side.trainable),
        "moved": _changed(before, after_step),
        "changed": _changed(before, tuned.variables),
        "not_finite": sorted(name for name, value in tuned.variables.items() if not _is_finite(value)),
        "without_gradient": tuned.without_gradient,
        "averages": sorted(name for name in before if _MOVING_AVERAGE.search(name)),
        "losses": side.losses(),
        "norms": {name: _norms(value) for name, value in before.items() if value.dtype.kind == "f"},
        "without_effect": _without_effect(side, inputs, quiet, before),
    }


def _without_effect(side, inputs: Mapping[str, Any], quiet: sides.Scalars, before: Mapping) -> list[str]:
    """What is wrong with the hyperparameters that a consumer may set, a line each."""
    lines = []
    for name in quiet:
        if _is_dropout(name):
            if not _repeats(side, inputs, quiet):
                lines.append(f"{name}={_LOW}: two training passes differ; nothing should be dropped")
            if _repeats(side, inputs, {**quiet, name: _HIGH}):
                lines.append(f"{name}={_HIGH}: two training passes agree; nothing was dropped")
        elif "momentum" in name:
            low, high = (side.step(signature_lib.DEFAULT, inputs, {**quiet, name: at})[1] for at in (_LOW, _HIGH))
            if not _changed(low, high) and _changed(before, high):
                lines.append(f"{name}: moving averages move alike at {_LOW} and {_HIGH}")
    return lines


def _repeats(side, inputs: Mapping[str, Any], scalars: sides.Scalars) -> bool:
    first, second = (side.step(signature_lib.DEFAULT, inputs, scalars)[0] for _ in range(2))
    return sides.is_same(first, second)


def _problems(facts: Mapping[str, Any], regularizers: Regularizers | None) -> Iterable[str]:
    trainable, changed, moved = (set(facts[key]) for key in ("trainable", "changed", "moved"))
    if not trainable:
        yield "it has no trainable variables"
    if facts["without_gradient"]:
        yield f"no gradient reaches {facts['without_gradient']!r}"
    stuck = sorted(trainable - changed - set(facts["without_gradient"]))
    if stuck:
        yield f"{_STEPS} training steps leave {stuck!r} as they are"
    strayed = sorted(changed - trainable - moved)
    if strayed:
        yield f"training changes {strayed!r}, which are neither trainable nor moved by update ops"
    still = sorted(set(facts["averages"]) - moved - trainable)
    if still:
        yield f"a training step leaves the moving averages {still!r} as they are: no update op moves them"
    if facts["not_finite"]:
        yield f"training makes {facts['not_finite']!r} infinite or NaN"
    yield from facts["without_effect"]
    if regularizers is not None:
        yield from _loss_problems(facts, regularizers)


def _loss_problems(facts: Mapping[str, Any], regularizers: Regularizers) -> Iterable[str]:
    unknown = sorted(set(regularizers) - set(facts["norms"]))
    if unknown:
        yield f"regularizers are configured for {unknown!r}, which it does not have"
        return
    norms = facts["norms"]
    expected = sum(
        weights[kind] * norms[name][kind] for name, weights in regularizers.items() for kind in ("l1", "l2")
    )
    total = sum(facts["losses"])
    if abs(total - expected) > _LOSS_TOLERANCE * max(abs(expected), 1e-12):
        yield f"its regularization losses are {total:.6g}, the configured regularizers give {expected:.6g}"


def _changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> list[str]:
    return sorted(name for name, value in before.items() if not sides.is_equal(value, after[name]))


def _is_finite(value: np.ndarray) -> bool:
    return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())


def _norms(value: np.ndarray) -> dict[str, float]:
    wide = value.astype(np.float64)
    return {"l1": float(np.abs(wide).sum()), "l2": float(np.square(wide).sum())}


def _is_dropout(name: str) -> bool:
    return "dropout" in name
