"""The proof that a module and its twin are the same model: both are loaded from disk and compared.

What must agree: the outputs of every signature on the same inputs; names and values of the variables, and which
are trainable; the regularization losses; and of one training step on the same inputs the outputs, and the
variables after its updates. Numbers agree if they differ by at most TOLERANCE, relative to the larger of 1 and the
value.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from hubpipe import errors
from hubpipe.hub import read, spec
from hubpipe.hub import signature as signature_lib
from hubpipe.saved_model import golden, isolated, sides, twin

TOLERANCE = 1e-6


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
        tags = twin.inference_tags(module_spec.get_tags())
        train_tags = twin.train_tags(module_spec.get_tags()) or tags
        names = list(filter(twin_side.has, module_spec.get_signature_names(tags)))
        self._inputs = {name: golden.make(module_spec.get_input_info_dict(name, tags)) for name in names}
        # The scalars of the signature "hyperparameters" are arguments of the twin's __call__.
        covered = {twin.HYPERPARAMETERS} if self._scalars else set()
        self._trained = [name for name in names if name in module_spec.get_signature_names(train_tags)]
        self._trained = [name for name in self._trained if name not in covered]
        self._golden_outputs: sides.Outputs = {}
        if golden_path is not None:
            given, self._golden_outputs = golden.load(golden_path, module_spec.get_input_info_dict(None, tags))
            for inputs in self._inputs.values():
                inputs.update({key: value for key, value in given.items() if key in inputs})
        for inputs in self._inputs.values():
            inputs.update({key: value for key, value in self._scalars.items() if key in inputs})

    @property
    def _scalars(self) -> dict[str, float | int | bool]:
        return self._twin.facts["hyperparameters"]

    def checks(self) -> list[Check]:
        """All checks, in the order of the module's docstring."""
        found = [check for name in self._inputs for check in self._outputs(name)]
        found += [self._variables(), self._losses()]
        return found + [check for name in self._trained for check in self._step(name)]

    def _outputs(self, name: str) -> list[Check]:
        what, inputs = f"outputs of {name!r}", self._inputs[name]
        outputs = self._module.outputs(name, inputs)
        if not sides.is_same(outputs, self._module.outputs(name, inputs)):
            return [Check(what, note="random in the module, not compared")]
        found = [_compared(what, outputs, self._twin.outputs(name, inputs))]
        if name == signature_lib.DEFAULT and self._golden_outputs:
            found.append(_compared("golden outputs", self._golden_outputs, outputs))
        return found

    def _variables(self) -> Check:
        module, other = self._module.variables(), self._twin.variables()
        problems = []
        if sorted(module) != sorted(other):
            problems.append(f"the module has {sorted(module)!r}, the twin {sorted(other)!r}")
        if self._module.trainable != self._twin.trainable:
            problems.append(
                f"trainable are {sorted(self._module.trainable)!r} of the module, "
                f"{sorted(self._twin.trainable)!r} of the twin"
            )
        both = sorted(set(module) & set(other))
        differing = [name for name in both if not sides.is_equal(module[name], other[name])]
        if differing:
            problems.append(f"the values of {differing!r} differ")
        note = f"{len(module)}, of which {len(self._module.trainable)} trainable"
        return Check("variables", problem="; ".join(problems) or None, note=note)

    def _losses(self) -> Check:
        other = self._twin.losses()
        module = {name: value for name, value in self._module.losses().items() if name in other}
        both = ({name: [np.array(value)] for name, value in losses.items()} for losses in (module, other))
        note = f"{len(other)}, together {sum(other.values()):.6g}"
        return dataclasses.replace(_compared("regularization losses", *both), note=note)

    def _step(self, name: str) -> list[Check]:
        """One training step; without dropout where the module's hyperparameters can switch it off."""
        inputs = self._inputs[name]
        scalars = self._scalars if name == signature_lib.DEFAULT else {}
        quiet = {key: 0.0 if "dropout" in key else value for key, value in scalars.items()}
        random = [self._is_random(side, name, {}) for side in (self._module, self._twin)]
        found = []
        if any(random):
            told = "random in both" if all(random) else None
            problem = None if told else f"random in training: module {random[0]}, twin {random[1]}"
            found.append(Check(f"dropout of {name!r}", problem=problem, note=told or ""))
        outputs, variables = self._module.step(name, inputs, quiet)
        other_outputs, other_variables = self._twin.step(name, inputs, quiet)
        if self._is_random(self._module, name, quiet):
            return [*found, Check(f"training step of {name!r}", note="always random, not compared")]
        before = self._module.variables()
        moved = [key for key, value in before.items() if not sides.is_equal(value, variables[key])]
        found.append(_compared(f"training outputs of {name!r}", outputs, other_outputs))
        after = _compared(
            f"variables after a step of {name!r}",
            {key: [value] for key, value in variables.items()},
            {key: [value] for key, value in other_variables.items()},
        )
        return [*found, dataclasses.replace(after, note=f"{len(moved)} moved by update ops")]

    def _is_random(self, side: sides.ModuleSide | sides.TwinSide, name: str, scalars: sides.Scalars) -> bool:
        first, second = (side.step(name, self._inputs[name], scalars)[0] for _ in range(2))
        return not sides.is_same(first, second)


def _compared(name: str, expected: sides.Outputs, found: sides.Outputs) -> Check:
    if sorted(expected) != sorted(found):
        return Check(name, problem=f"the module has {sorted(expected)!r}, the twin {sorted(found)!r}")
    largest, problems = 0.0, []
    for key in sorted(expected):
        for left, right in zip(expected[key], found[key], strict=True):
            if left.shape != right.shape:
                problems.append(f"{key!r} has shape {left.shape} in the module, {right.shape} in the twin")
            elif left.dtype.kind in "OSUb" or right.dtype.kind in "OSUb":
                if not sides.is_equal(left, right):
                    problems.append(f"{key!r} differs")
            else:
                difference = _difference(left, right)
                largest = max(largest, difference)
                if not difference <= TOLERANCE:
                    problems.append(f"{key!r} differs by {difference:.3g}, accepted is {TOLERANCE}")
    return Check(name, largest, "; ".join(problems) or None)


def _difference(left: np.ndarray, right: np.ndarray) -> float:
    """The largest difference, relative to the larger of 1 and the value; infinite if only one is a number."""
    wide = np.complex128 if left.dtype.kind == "c" else np.float64
    left, right = left.astype(wide), right.astype(wide)
    differs = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    if not differs.any():
        return 0.0
    left, right = left[differs], right[differs]
    return float(np.nan_to_num(np.abs(left - right) / np.maximum(1.0, np.abs(left)), nan=np.inf).max())
