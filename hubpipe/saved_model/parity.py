"""The proof that a module and its twin are the same model: both are loaded from disk and compared.

What must agree: the signatures, and the outputs of each when called and when served; names and values of the
variables, and which are trainable; the regularization losses; the hyperparameters, their defaults and effects; and
of one training step the outputs, and the variables after its updates. What is random in one must be so in the
other. Numbers agree if they differ by at most TOLERANCE, relative to the number itself or, for smaller ones, to 1
or the largest number of the array, whichever is less; integers, strings and values on disk must be the same.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from hubpipe import errors
from hubpipe.hub import read, spec
from hubpipe.hub import signature as signature_lib
from hubpipe.saved_model import golden, isolated, sides, twin

TOLERANCE = 1e-6
GOLDEN = "golden outputs"  # name of the check that compares with an archive
_DROPOUT = 0.5  # where dropout must show
_TRIES = 64  # at most, until something random turns out to be so


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was compared.

    Attributes:
        name: what, such as "outputs of 'default'".
        difference: the largest difference of two numbers; None where numbers were not compared.
        problem: what differs, None if nothing does.
        note: what else a reader should know; empty if nothing.
    """

    name: str
    difference: float | None = None
    problem: str | None = None
    note: str = ""


def check(module_dir: str, twin_dir: str, golden_path: str | None = None) -> list[Check]:
    """Compares a module with its twin.

    Args:
        module_dir: the TF1 Hub module.
        twin_dir: its twin, as TwinWriter writes it.
        golden_path: archive of golden values of the signature "default": its inputs are used, and both sides must
            give its outputs. None makes inputs up.
    Returns:
        What was compared.
    Raises:
        FormatError: one of them is broken.
        ModuleSpecError: an input was made up that the module does not take.
    """
    found = isolated.call_eagerly(
        "hubpipe.saved_model.parity:compare", module_dir=module_dir, twin_dir=twin_dir, golden_path=golden_path
    )
    return [Check(**facts) for facts in found]


def require(checks: Iterable[Check], where: str) -> None:
    """Refuses a twin that is not the same model.

    Raises:
        ParityError: with a line for each difference.
    """
    problems = [f"{check.name}: {check.problem}" for check in checks if check.problem]
    if problems:
        raise errors.ParityError(f"{where}: the module and its twin are not the same:\n" + "\n".join(problems))


def summary(checks: Iterable[Check]) -> dict[str, Any]:
    """The facts for a manifest: the tolerance, and the largest difference of each check."""
    return {"tolerance": TOLERANCE, "differences": {check.name: check.difference for check in checks}}


def table(checks: Iterable[Check]) -> str:
    """The checks for people, a line each."""
    rows = [(check.name, _shown(check.difference), check.problem or check.note or "equal") for check in checks]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{width}}  {difference:>8}  {verdict}" for name, difference, verdict in rows)


def _shown(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.1e}"


def compare(module_dir: str, twin_dir: str, golden_path: str | None) -> list[dict[str, Any]]:
    """See check; called while executing eagerly. Returns the checks as JSON values."""
    module_spec = read.load_module_spec(module_dir)
    comparison = _Comparison(module_spec, sides.TwinSide(twin_dir), golden_path)
    return [dataclasses.asdict(check) for check in comparison.checks()]


class _Comparison:
    """One module, its twin, and the inputs that both are asked with."""

    def __init__(self, module_spec: spec.ModuleSpec, twin_side: sides.TwinSide, golden_path: str | None):
        self._module = sides.ModuleSide(module_spec)
        self._twin = twin_side
        tag_sets = module_spec.get_tags()
        inference = twin.inference_tags(tag_sets)
        self._variant = module_spec.variant(inference)
        self._train_variant = module_spec.variant(twin.train_tags(tag_sets) or inference)
        # The scalars of the signature "hyperparameters" are arguments of the twin's __call__.
        self._scalars = twin.hyperparameters(self._variant)
        names = self._variant.signature_names
        self._callable = [name for name in names if twin.attribute(name) and twin_side.has(name)]
        self._inputs = {name: golden.make(self._variant.inputs(name)) for name in names}
        self._golden_outputs: sides.Outputs = {}
        if golden_path is not None:
            given, self._golden_outputs = golden.load(golden_path, self._variant.inputs(signature_lib.DEFAULT))
            for inputs in self._inputs.values():
                inputs.update({key: value for key, value in given.items() if key in inputs})
        for inputs in self._inputs.values():
            inputs.update({key: value for key, value in self._scalars.items() if key in inputs})

    def checks(self) -> list[Check]:
        """All checks, in the order of the module's docstring."""
        found = [self._signatures(), self._hyperparameters()]
        found += [check for name in self._inputs for check in self._outputs(name)]
        found += [self._variables(), self._losses()]
        covered = {twin.HYPERPARAMETERS} if self._scalars else set()  # the training of "default" runs it
        trained = sorted({*self._callable}.intersection(self._train_variant.signature_names) - covered)
        return found + [check for name in trained for check in self._training(name)]

    def _signatures(self) -> Check:
        names = self._variant.signature_names
        problems = [
            f"the twin has no callable {name!r}"
            for name in names
            if twin.attribute(name) and name not in self._callable
        ]
        served = {*names, twin.SERVING_DEFAULT} if signature_lib.DEFAULT in names else set(names)
        if served != self._twin.serving:
            problems.append(f"the twin serves {sorted(self._twin.serving)!r}, expected {sorted(served)!r}")
        return Check("signatures", problem="; ".join(problems) or None, note=", ".join(names))

    def _hyperparameters(self) -> Check:
        expected = self._scalars
        found = self._twin.defaults() if signature_lib.DEFAULT in self._callable else {}
        if found != expected:
            problem = f"they default to {expected!r} in the module, {found!r} in the twin"
            return Check("hyperparameters", problem=problem)
        note = ", ".join(f"{key}={value!r}" for key, value in expected.items())
        return Check("hyperparameters", note=note or "none")

    def _outputs(self, name: str) -> list[Check]:
        inputs = self._inputs[name]
        module = _Trial(lambda: self._module.outputs(name, inputs))
        found = []
        if name in self._callable:
            trial = _Trial(lambda: self._twin.outputs(name, inputs))
            found.append(_compared_trials(f"outputs of {name!r}", module, trial))
        if name == signature_lib.DEFAULT and self._golden_outputs:
            asked = {
                key: [golden.storable(component) for component in components]
                for key, components in module.fixed.items()
            }
            expected = {key: value for key, value in self._golden_outputs.items() if key not in module.random}
            check = compared(GOLDEN, expected, asked, between=("the archive", "the module"))
            found.append(_noted(check, module.notes))
        served_as = [name]
        if name == signature_lib.DEFAULT and twin.SERVING_DEFAULT not in self._inputs:
            served_as.append(twin.SERVING_DEFAULT)
        return found + [self._serving(name, key, module) for key in served_as if key in self._twin.serving]

    def _serving(self, name: str, served_as: str, module: "_Trial") -> Check:
        flat = {
            served: [component]
            for key, info in self._variant.outputs(name).items()
            if key not in module.random
            for (served, _), component in zip(
                twin.serving_components(key, info), module.first[key], strict=True
            )
        }
        random = {
            served
            for key, info in self._variant.outputs(name).items()
            if key in module.random
            for served, _ in twin.serving_components(key, info)
        }
        found = self._twin.served(served_as, self._inputs[name], self._variant.inputs(name))
        fixed = {key: value for key, value in found.items() if key not in random}
        return _noted(compared(f"serving of {served_as!r}", flat, fixed), module.notes)

    @functools.cached_property
    def _values(self) -> dict[str, np.ndarray]:
        """The variables of the module, on disk."""
        return self._module.variables()

    def _variables(self) -> Check:
        module, other = self._values, self._twin.variables()
        problems = []
        if sorted(module) != sorted(other):
            problems.append(f"the module has {sorted(module)!r}, the twin {sorted(other)!r}")
        if self._module.trainable != self._twin.trainable:
            problems.append(
                f"trainable are {sorted(self._module.trainable)!r} of the module, "
                f"{sorted(self._twin.trainable)!r} of the twin"
            )
        both = sorted(set(module) & set(other))
        values = ({name: [side[name]] for name in both} for side in (module, other))
        check = compared("variables", *values, tolerance=0.0)
        if check.problem:
            problems.append(check.problem)
        note = f"{len(module)}, of which {len(self._module.trainable)} trainable"
        return dataclasses.replace(check, problem="; ".join(problems) or None, note=note)

    def _losses(self) -> Check:
        names = twin.losses_of_weights(self._train_variant)
        module, other = self._module.losses(), self._twin.losses()
        if len(module) != len(other):
            problem = f"the module has {len(module)}, {names!r}; the twin has {len(other)}"
            return Check("regularization losses", problem=problem)
        labels = [f"{index}: {name}" for index, name in enumerate(names)]
        both = (
            {label: [np.array(value)] for label, value in zip(labels, values, strict=True)}
            for values in (module, other)
        )
        return _noted(compared("regularization losses", *both), [f"{len(other)}, together {sum(other):.6g}"])

    def _training(self, name: str) -> Iterator[Check]:
        """One training step with the module's hyperparameters, and with others."""
        yield self._step(f"training of {name!r}", name, {}, {})
        scalars = self._scalars if name == signature_lib.DEFAULT else {}
        dropouts = {key for key in scalars if "dropout" in key}
        quiet = dict.fromkeys(dropouts, 0.0)
        if quiet:
            yield self._step(f"training of {name!r} without dropout", name, {**scalars, **quiet}, quiet)
        if len(scalars) > len(dropouts):
            others = {key: _another(value) for key, value in scalars.items()} | quiet
            told = ", ".join(f"{key}={value!r}" for key, value in sorted(others.items()))
            yield self._step(f"training of {name!r} with {told}", name, others, others)
        if quiet:
            noisy = {**scalars, **dict.fromkeys(dropouts, _DROPOUT)}
            yield self._step(f"training of {name!r} with dropout of {_DROPOUT}", name, noisy, noisy)

    def _step(self, what: str, name: str, scalars: sides.Scalars, twin_scalars: sides.Scalars) -> Check:
        inputs = self._inputs[name]
        before = self._values
        module = _Trial(lambda: _labelled(*self._module.step(name, inputs, scalars), before))
        other = _Trial(lambda: _labelled(*self._twin.step(name, inputs, twin_scalars), before))
        check = _compared_trials(what, module, other)
        moved = [key for key, value in before.items() if module.first[f"variable {key}"][0] is not value]
        return _noted(check, [f"{len(moved)} variables moved by update ops", *module.notes])


class _Trial:
    """Results of one side, which is asked again and again.

    Attributes:
        first: what it returned first.
        random: keys of what differs from time to time.
    """

    def __init__(self, ask: Callable[[], sides.Outputs]):
        self._ask = ask
        self.first = ask()
        self.random: set[str] = set()
        self.look_for(self.first, tries=1)

    @property
    def notes(self) -> list[str]:
        """What a reader should know."""
        return [f"random in both: {', '.join(sorted(self.random))}"] if self.random else []

    @property
    def fixed(self) -> sides.Outputs:
        """What is not random."""
        return {key: value for key, value in self.first.items() if key not in self.random}

    def look_for(self, keys: Collection[str], tries: int) -> None:
        """Asks again until some keys turn out to be random: a few elements may come out alike by chance."""
        while tries and not self.random.issuperset(keys):
            again = self._ask()
            self.random.update(key for key in again if not sides.is_same({key: self.first[key]}, again))
            tries -= 1


def _labelled(
    outputs: sides.Outputs, variables: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]
) -> sides.Outputs:
    """All results of a step; a variable that is as before is that very array: large ones are not kept twice."""
    labelled = {f"output {key}": value for key, value in outputs.items()}
    for key, value in variables.items():
        is_moved = key not in before or not sides.is_equal(value, before[key])
        labelled[f"variable {key}"] = [value if is_moved else before[key]]
    return labelled


def _another(value: float | int | bool) -> float | int | bool:
    """Another setting of a hyperparameter."""
    if isinstance(value, bool):
        return not value
    return value / 2 + 0.25 if isinstance(value, float) else value + 1


def _compared_trials(name: str, module: _Trial, other: _Trial) -> Check:
    """Compares what is the same every time; what is random in one must be so in the other."""
    module.look_for(other.random, _TRIES)
    other.look_for(module.random, _TRIES)
    check = _compared_fixed(name, module, other)
    if check.problem and module.random == other.random:  # perhaps the first two results came out alike by chance
        for trial in (module, other):
            trial.look_for(trial.first, _TRIES)
        check = _compared_fixed(name, module, other)
    return check


def _compared_fixed(name: str, module: _Trial, other: _Trial) -> Check:
    if module.random != other.random:
        problem = f"random are {sorted(module.random)!r} in the module, {sorted(other.random)!r} in the twin"
        return Check(name, problem=problem)
    return _noted(compared(name, module.fixed, other.fixed), module.notes)


def _noted(check: Check, notes: Iterable[str]) -> Check:
    return dataclasses.replace(check, note="; ".join(notes))


def compared(
    name: str,
    expected: sides.Outputs,
    found: sides.Outputs,
    *,
    tolerance: float = TOLERANCE,
    between: tuple[str, str] = ("the module", "the twin"),
) -> Check:
    """Compares two results of a signature, as the module's docstring says.

    Args:
        name: what is compared.
        expected: dict name -> dense arrays.
        found: alike.
        tolerance: largest difference of two numbers that is accepted.
        between: whose results they are, for messages.
    """
    first, second = between
    if sorted(expected) != sorted(found):
        return Check(name, problem=f"{first} has {sorted(expected)!r}, {second} {sorted(found)!r}")
    largest, problems = 0.0, []
    for key in sorted(expected):
        for left, right in zip(expected[key], found[key], strict=True):
            if sides.is_equal(left, right):
                continue
            if _kind(left) != _kind(right):
                problems.append(f"{key!r} is {_kind(left)} in {first}, {_kind(right)} in {second}")
            elif left.shape != right.shape:
                problems.append(f"{key!r} has shape {left.shape} in {first}, {right.shape} in {second}")
            elif _kind(left) == "string" or left.dtype.kind in "biu":
                problems.append(f"{key!r} differs in {_count(left, right)} of {left.size} elements")
            else:
                difference = _difference(left, right)
                largest = max(largest, difference)
                if not difference <= tolerance:
                    problems.append(f"{key!r} differs by {difference:.3g}, accepted is {tolerance:g}")
    return Check(name, largest, "; ".join(problems) or None)


def _kind(array: np.ndarray) -> str:
    return "string" if array.dtype.kind in "OSU" else array.dtype.name


def _count(left: np.ndarray, right: np.ndarray) -> int:
    return sum(not sides.is_equal(a, b) for a, b in zip(left.ravel(), right.ravel(), strict=True))


def _difference(left: np.ndarray, right: np.ndarray) -> float:
    """The largest difference, see the module's docstring; infinite if only one is a number."""
    wide = np.complex128 if left.dtype.kind == "c" else np.float64
    left, right = left.astype(wide), right.astype(wide)
    differs = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    if not differs.any():
        return 0.0
    sizes = np.abs(left)
    unit = min(1.0, np.max(sizes, initial=0.0, where=np.isfinite(sizes)) or 1.0)
    with np.errstate(invalid="ignore"):  # infinity less infinity is no number
        differences = np.abs(left - right)[differs] / np.maximum(unit, sizes[differs])
    return float(np.nan_to_num(differences, nan=np.inf, posinf=np.inf).max())
