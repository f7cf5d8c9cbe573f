"""Can a consumer fine-tune it? Tried on the files, in a fresh process, through hub.Module and through Keras.

A few steps must change every trainable variable that the signature "default" depends on, by gradients of its
outputs; leave the others to the update ops; and move the moving averages. The regularization losses must be those
that were configured; hyperparameters must take effect; a variant for training must be there if it takes one.

A moving average is a variable that is called so, or that inference reads and training does not.

Source: "Exporting models in the TF1 Hub format", Advice for Publishers, and "TF1 Hub format", Fine-Tuning;
tensorflow/hub issues 85 and 86 tell of published modules whose update ops could not run.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import variable_pb2

from hubpipe import errors
from hubpipe.gates import result
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import read, spec
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib
from hubpipe.saved_model import golden, isolated, sides, twin

GATE = "fine_tuning"
_STEPS = 3
_RATE = 1e-3
_LOSS_TOLERANCE = 1e-5  # relative; sums of float32
_MOVING_AVERAGE = re.compile(r"(^|/)moving_(mean|variance)(/|$)")
_NO_DROPOUT, _DROPOUT = 0.0, 0.5  # at a half, what is dropped differs most from time to time
_PASSES = 8  # so many may come out alike by chance only where next to nothing can be dropped
_LOW, _HIGH = 0.0, 0.9  # of a momentum, whose effects must differ

_KINDS = ("l1", "l2")
_SHOWN = 5

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
        regularizers: dict variable -> {"l1": ..., "l2": ...}, what was configured: the losses of a variable must
            amount to l1 * sum(|w|) + l2 * sum(w ** 2), and there must be no others; None if that is not known.
    Returns:
        The gate's answer; its numbers are, for each side, how many variables are `trainable` and `moved` by update
        ops, and the sum of the `losses`.
    Raises:
        ResourceError: the process that trains it gave out.
    """
    try:
        found = isolated.call_in_process(
            "hubpipe.gates.fine_tuning:probe", module_dir=module_dir, twin_dir=twin_dir, golden_path=golden_path
        )
    except errors.HubpipeError as error:
        return result.Result(GATE, [str(error)])
    graph = _Graph(**found["graph"])
    answer = result.Result(GATE, [*_graph_problems(graph), *found["problems"]], list(_graph_notes(graph)))
    for side, facts in found["sides"].items():
        trained, moved, losses = len(facts["trainable"]), len(facts["moved"]), sum(facts["losses"])
        answer.numbers[side] = {"trainable": trained, "moved": moved, "losses": losses}
        problems = [f"{side}: {problem}" for problem in _side_problems(facts, graph)]
        problems += [f"{side}: {problem}" for problem in _checked_losses(facts, graph, regularizers)]
        answer.problems.extend(problems)
        if trained and not problems:
            told = f"{_count(len(facts['losses']), 'loss', 'losses')}, together {losses:.6g}"
            answer.confirmed.append(
                f"{side}: {_STEPS} steps train {_count(trained, 'variable', 'variables')}, "
                f"update ops move {moved}; {told}"
            )
    if twin_dir is None:
        answer.notes.append("there is no twin to fine-tune with Keras")
    if regularizers is None and graph.losses:
        answer.notes.append("which regularizers were configured is not known; the losses are not compared")
    return answer


# In the process of its own.


def probe(module_dir: str, twin_dir: str | None, golden_path: str | None) -> dict[str, Any]:
    """What the graph says of fine-tuning, and what it does to a module and to its twin, as JSON values."""
    with result.blamed(f"{module_dir} cannot be fine-tuned"):
        module_spec = read.load_module_spec(module_dir)
        graph = _look(module_spec)
        variant = module_spec.variant(twin.inference_tags(module_spec.get_tags()))
        infos = variant.inputs(signature_lib.DEFAULT)
        inputs = golden.load(golden_path, infos)[0] if golden_path else golden.make(infos)
        defaults = twin.hyperparameters(variant)
        module = sides.ModuleSide(module_spec)
        found = {"hub.Module": _try(module, inputs, defaults)}
        after_call = module.call(signature_lib.DEFAULT, inputs)
        found["hub.Module"]["changed_by_call"] = _changed(module.variables(), after_call)
    problems = []
    if twin_dir is not None:
        try:
            with result.blamed("Keras: the twin cannot be fine-tuned"):
                found["Keras"] = _try(sides.TwinSide(twin_dir), inputs, defaults)
        except errors.HubpipeError as error:
            problems.append(str(error))
    return {"graph": dataclasses.asdict(graph), "sides": found, "problems": problems}


def _try(
    side: sides.ModuleSide | sides.TwinSide, inputs: Mapping[str, Any], defaults: sides.Scalars
) -> dict[str, Any]:
    before = side.variables()
    quiet = {name: _NO_DROPOUT if _is_dropout(name) else value for name, value in defaults.items()}
    _, after_step = side.step(signature_lib.DEFAULT, inputs, quiet)
    tuned = side.tune(inputs, steps=_STEPS, rate=_RATE)
    return {
        "trainable": sorted(side.trainable),
        "moved": _changed(before, after_step),
        "changed": _changed(before, tuned.variables),
        "changed_by_call": [],  # of a twin not to be told from the work of its update ops
        "not_finite": sorted(name for name, value in tuned.variables.items() if not _is_finite(value)),
        "without_gradient": tuned.without_gradient,
        "losses": side.losses(),
        "norms": {name: _norms(value) for name, value in before.items() if value.dtype.kind == "f"},
        "without_effect": _without_effect(side, inputs, quiet, before),
    }


def _without_effect(
    side: sides.ModuleSide | sides.TwinSide,
    inputs: Mapping[str, Any],
    quiet: sides.Scalars,
    before: Mapping[str, np.ndarray],
) -> list[str]:
    """What is wrong with the hyperparameters that a consumer may set, a line each."""
    lines = []
    for name in quiet:
        if _is_dropout(name):
            if not _repeats(side, inputs, quiet):
                lines.append(f"{name}={_NO_DROPOUT}: training passes differ; nothing should be dropped")
            if _repeats(side, inputs, {**quiet, name: _DROPOUT}):
                lines.append(f"{name}={_DROPOUT}: training passes agree; nothing is dropped")
        elif "momentum" in name:
            low, high = (side.step(signature_lib.DEFAULT, inputs, {**quiet, name: at})[1] for at in (_LOW, _HIGH))
            if not _changed(low, high) and _changed(before, high):
                lines.append(f"{name}: moving averages move alike at {_LOW} and {_HIGH}")
    return lines


def _repeats(
    side: sides.ModuleSide | sides.TwinSide, inputs: Mapping[str, Any], scalars: sides.Scalars
) -> bool:
    passes = (side.step(signature_lib.DEFAULT, inputs, scalars)[0] for _ in range(_PASSES))
    first = next(passes)
    return all(sides.is_same(first, other) for other in passes)


# The graph.


@dataclasses.dataclass(frozen=True)
class _Graph:
    """What the graphs tell of fine-tuning.

    Attributes:
        variants: the tags of each graph variant, in words.
        has_train: whether one is for training.
        is_tunable: whether "default" has a floating output.
        has_hyperparameters: whether consumers can set hyperparameters.
        variables: how many there are.
        reached: names of the variables that the floating outputs of "default" depend on in training.
        used: names of those that any signature depends on in training.
        averages: names of the moving averages.
        wholes: dict name of a part of a partitioned variable -> name of the whole.
        losses: for each regularization loss, its name and those of the variables it depends on.
    """

    variants: list[str]
    has_train: bool
    is_tunable: bool
    has_hyperparameters: bool
    variables: int
    reached: list[str]
    used: list[str]
    averages: list[str]
    wholes: dict[str, str]
    losses: list[tuple[str, list[str]]]


def _look(module_spec: spec.ModuleSpec) -> _Graph:
    tag_sets = module_spec.get_tags()
    inference = module_spec.variant(twin.inference_tags(tag_sets))
    train_tags = twin.train_tags(tag_sets)
    train = inference if train_tags is None else module_spec.variant(train_tags)
    definitions = {graph_lib.node_name(definition.variable_name): definition for definition in train.variables}
    trainable = set(map(_variable, train.serialized(tf1.GraphKeys.TRAINABLE_VARIABLES)))
    read_in_training = _read(train, signature_lib.DEFAULT, definitions)
    others = _read(inference, signature_lib.DEFAULT, definitions) - read_in_training - trainable
    named = {name for name in definitions if _MOVING_AVERAGE.search(name)} - trainable
    return _Graph(
        variants=[str(sorted(tags)) for tags in tag_sets],
        has_train=train_tags is not None,
        is_tunable=any(info.dtype.is_floating for info in train.outputs(signature_lib.DEFAULT).values()),
        has_hyperparameters=bool(twin.hyperparameters(inference)),
        variables=len(definitions),
        reached=sorted(_read(train, signature_lib.DEFAULT, definitions, _asked(train))),
        used=sorted(set().union(*(_read(train, name, definitions) for name in train.signature_names))),
        averages=sorted(others | named),
        wholes={
            name: definition.save_slice_info_def.full_name
            for name, definition in definitions.items()
            if definition.HasField("save_slice_info_def")
        },
        losses=[
            (name, sorted(_needed(train, [name], graph_lib.Cut(), definitions)))
            for name in twin.losses_of_weights(train)
        ],
    )


def _variable(serialized: bytes) -> str:
    return graph_lib.node_name(variable_pb2.VariableDef.FromString(serialized).variable_name)


def _asked(variant: variant_lib.Variant) -> set[str]:
    """The outputs of "default" that fine-tuning is tried on, see sides.distance."""
    outputs = variant.outputs(signature_lib.DEFAULT)
    floating = {name for name, info in outputs.items() if info.dtype.is_floating}
    return floating & {signature_lib.DEFAULT} or floating


def _read(
    variant: variant_lib.Variant, name: str, variables: Collection[str], outputs: Collection[str] | None = None
) -> set[str]:
    """Those of the variables that a signature reads, for some of its outputs or for all."""
    targets = {
        tensor
        for key, info in variant.signature_def(name).outputs.items()
        if outputs is None or key in outputs
        for tensor in signature_lib.component_names(info)
    }
    cut = graph_lib.Cut(tensors=frozenset(tensor for _, tensor in variant.feeds(name)))
    return _needed(variant, targets, cut, variables)


def _needed(
    variant: variant_lib.Variant, targets: Iterable[str], cut: graph_lib.Cut, variables: Collection[str]
) -> set[str]:
    return graph_lib.ancestors(variant.nodes, targets, cut) & set(variables)


# What is wrong.


def _graph_problems(graph: _Graph) -> Iterator[str]:
    reasons = []
    if len(graph.averages):
        reasons.append(f"nothing moves {_names(graph.averages)}")
    if graph.has_hyperparameters:
        reasons.append("hyperparameters have no effect")
    if not graph.has_train and (reasons or len(graph.variants) > 1):
        told = f": {' and '.join(reasons)}" if reasons else ""
        yield f"there is no variant for training, tags=['train'], among {', '.join(graph.variants)}{told}"


def _graph_notes(graph: _Graph) -> Iterator[str]:
    if not graph.variables:
        yield "there are no variables, nothing to fine-tune"
    elif not graph.has_train and len(graph.variants) == 1:
        yield f"one variant serves inference and training, tags={graph.variants[0]}"


def _side_problems(facts: Mapping[str, Any], graph: _Graph) -> Iterator[str]:
    trainable, changed, moved, without = (
        set(facts[key]) for key in ("trainable", "changed", "moved", "without_gradient")
    )
    if graph.variables and not trainable:
        yield f"none of the {graph.variables} variables is trainable"
    elif trainable and not graph.is_tunable:
        yield "no output of signature 'default' is floating: no gradient passes through it"
    else:
        reached = trainable & set(graph.reached)
        if reached & without:
            yield f"no gradient of the output reaches {_names(reached & without)}"
        # Of a table in parts, the inputs may ask for lines of some parts only.
        moving = {graph.wholes.get(name, name) for name in changed}
        stuck = {name for name in reached - without if graph.wholes.get(name, name) not in moving}
        if stuck:
            yield f"{_STEPS} training steps leave {_names(stuck)} unchanged"
    idle = trainable - set(graph.used)
    if idle:
        yield f"{_names(idle)}: trainable, and no signature uses it in training"
    if facts["changed_by_call"]:
        yield f"a call changes {_names(facts['changed_by_call'])}, which only training steps and update ops may"
    strayed = changed - trainable - moved
    if strayed:
        yield f"training changes {_names(strayed)}, neither trainable nor moved by update ops"
    still = set(graph.averages) & set(facts["norms"]) - moved
    if still and graph.has_train:
        yield f"no update op moves {_names(still)}, a moving average that inference reads"
    if facts["not_finite"]:
        yield f"training makes {_names(facts['not_finite'])} infinite or NaN"
    yield from facts["without_effect"]


def _checked_losses(
    facts: Mapping[str, Any], graph: _Graph, regularizers: Regularizers | None
) -> list[str]:
    """What is wrong with the regularization losses; `regularizers` come from a file and may be anything."""
    if regularizers is None:
        return []
    try:
        with result.blamed(f"the configured regularizers cannot be compared, {regularizers!r}"):
            return list(_loss_problems(facts, graph, regularizers))
    except errors.HubpipeError as error:
        return [str(error)]


def _loss_problems(facts: Mapping[str, Any], graph: _Graph, regularizers: Regularizers) -> Iterator[str]:
    if len(facts["losses"]) != len(graph.losses):
        yield f"it has {len(facts['losses'])} regularization losses, the module's graph has {len(graph.losses)}"
        return
    norms: dict[str, dict[str, float]] = {}  # of whole variables
    for name, parts in facts["norms"].items():
        whole = norms.setdefault(graph.wholes.get(name, name), {"l1": 0.0, "l2": 0.0})
        for kind, norm in parts.items():
            whole[kind] += norm
    unknown = regularizers.keys() - norms.keys()
    if unknown:
        yield f"regularizers are configured for {_names(unknown)}, which it does not have"
    found: dict[tuple[str, ...], list[float]] = {(name,): [] for name in regularizers if name not in unknown}
    for (_, variables), value in zip(graph.losses, facts["losses"], strict=True):
        found.setdefault(tuple(sorted({graph.wholes.get(name, name) for name in variables})), []).append(value)
    for variables, values in sorted(found.items()):
        weights = {name: regularizers[name] for name in variables if name in regularizers}
        expected = sum(weight[kind] * norms[name][kind] for name, weight in weights.items() for kind in _KINDS)
        if not values and any(weight[kind] for weight in weights.values() for kind in _KINDS):
            yield f"no regularization loss depends on {_names(variables)}, configured is {_configured(weights)}"
        elif abs(sum(values) - expected) > _LOSS_TOLERANCE * max(abs(expected), 1e-12):
            yield (
                f"the regularization of {_names(variables)} is {sum(values):.6g}, in "
                f"{_count(len(values), 'loss', 'losses')}; {_configured(weights)} gives {expected:.6g}"
            )


def _configured(weights: Regularizers) -> str:
    texts = [f"l1={weight['l1']:g}, l2={weight['l2']:g}" for _, weight in sorted(weights.items())]
    return "; ".join(texts) or "no regularizer, as configured,"


def _changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> list[str]:
    return sorted(name for name, value in before.items() if not sides.is_equal(value, after[name]))


def _is_finite(value: np.ndarray) -> bool:
    return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())


def _norms(value: np.ndarray) -> dict[str, float]:
    wide = value.astype(np.float64)
    return {"l1": float(np.abs(wide).sum()), "l2": float(np.square(wide).sum())}


def _is_dropout(name: str) -> bool:
    return "dropout" in name


def _names(names: Iterable[str]) -> str:
    """Names in messages, the first few of many."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(map(repr, ordered[:_SHOWN])) + more


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
