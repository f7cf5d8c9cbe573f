"""Is the module whole? Its bytes are those that were written, it loads in a fresh process, and predicts as it did.

Golden predictions are replayed with the module and with its twin. Numbers agree if they differ by at most
TOLERANCE, in the sense of parity; another version of TensorFlow than the one that wrote them may add up in another
order, so that OTHER_VERSION_TOLERANCE holds there.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import versions
from hubpipe.files import digest, paths
from hubpipe.gates import result
from hubpipe.hub import read, spec
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variables as variables_lib
from hubpipe.saved_model import golden, isolated, parity, sides, twin

GATE = "integrity"
TOLERANCE = parity.TOLERANCE
OTHER_VERSION_TOLERANCE = 1e-5


def check(
    module_dir: str,
    twin_dir: str | None = None,
    *,
    files: Mapping[str, digest.FileDigest] | None = None,
    not_listed: Collection[str] = (),
    golden_path: str | None = None,
    written_with: str | None = None,
) -> result.Result:
    """Checks that a module is what was written.

    Args:
        module_dir: a TF1 Hub module.
        twin_dir: its twin, None if it has none.
        files: digests of all files in module_dir, as the manifest has them; None if there is no manifest.
        not_listed: files in module_dir that have no digest there, such as the manifest itself.
        golden_path: archive of golden predictions, None if there is none.
        written_with: version of the TensorFlow that wrote them, None if that is not known.
    Returns:
        The gate's answer; its numbers are `files`, `variables`, `tensorflow`, `golden` (dict side -> largest
        difference), `golden_tolerance` and `twin` (dict check of parity -> largest difference).
    Raises:
        ResourceError: the process that loads it gave out.
    """
    found = _check_files(module_dir, files, not_listed)
    try:
        facts = isolated.call_in_process(
            "hubpipe.gates.integrity:probe",
            module_dir=module_dir,
            twin_dir=twin_dir,
            golden_path=golden_path,
            written_with=written_with,
        )
    except errors.HubpipeError as error:
        found.problems.append(f"{module_dir} does not load: {error}")
        return found
    for kind in ("problems", "notes", "confirmed"):
        getattr(found, kind).extend(facts[kind])
    found.numbers.update(facts["numbers"])
    return found


def _check_files(
    module_dir: str, files: Mapping[str, digest.FileDigest] | None, not_listed: Collection[str]
) -> result.Result:
    local = paths.local(module_dir)
    if files is None:
        return result.Result(GATE, notes=["there is no manifest to compare the files with"])
    if local is None:
        return result.Result(GATE, notes=["files that are not on a local disk are not compared with the manifest"])
    try:
        problems = digest.differences(local, files, exclude=not_listed)
    except OSError as error:
        problems = [f"the files cannot be read: {error}"]
    confirmed = [] if problems else [f"files: {len(files)}, as the manifest says"]
    return result.Result(GATE, problems, numbers={"files": len(files)}, confirmed=confirmed)


def probe(
    module_dir: str, twin_dir: str | None, golden_path: str | None, written_with: str | None
) -> dict[str, Any]:
    """What loading shows, as JSON values of a Result; called in a process of its own."""
    probed = _Probe(module_dir, versions.of(tf), written_with)
    with probed.blamed(f"{module_dir} cannot be read"):
        module_spec = read.load_module_spec(module_dir)
        with probed.blamed("the variables cannot be read"):
            probed.check_variables(module_spec)
        with probed.blamed("the module cannot be loaded"):
            probed.check_golden("module", sides.ModuleSide(module_spec), module_spec, golden_path)
        if twin_dir is None:
            probed.found.notes.append("there is no twin")
            return dataclasses.asdict(probed.found)
        with probed.blamed("the twin cannot be loaded"):
            probed.check_golden("twin", sides.TwinSide(twin_dir), module_spec, golden_path)
            with probed.blamed("module and twin cannot be compared"):
                probed.check_twin(parity.compare(module_dir, twin_dir, golden_path))
    return dataclasses.asdict(probed.found)


class _Probe:
    """What was found so far.

    Attributes:
        found: the answer.
    """

    def __init__(self, module_dir: str, running: str, written_with: str | None):
        self.found = result.Result(GATE, numbers={"tensorflow": running})
        self._running, self._written_with = running, written_with

    @contextmanager
    def blamed(self, what: str) -> Iterator[None]:
        """Makes a problem of what goes wrong in a block, and lets the others go on."""
        try:
            with result.blamed(what):
                yield
        except errors.HubpipeError as error:
            self.found.problems.append(str(error))

    def check_variables(self, module_spec: spec.ModuleSpec) -> None:
        """All variables are on disk, with the shapes that the graphs say, and finite."""
        shapes = module_spec.variable_shapes()
        self.found.numbers["variables"] = len(shapes)
        if shapes:
            checkpoint = variables_lib.Checkpoint(module_spec.checkpoint_path)
            checkpoint.check({name: name for name in shapes}, shapes)
            broken = [
                name
                for name, (dtype, _) in sorted(shapes.items())
                if not _is_finite(checkpoint.value(name), dtype)
            ]
            if broken:
                self.found.problems.append(f"variables are infinite or NaN: {broken!r}")
                return
        self.found.confirmed.append(f"variables: {len(shapes)}, there and finite")

    def check_golden(
        self,
        name: str,
        side: sides.ModuleSide | sides.TwinSide,
        module_spec: spec.ModuleSpec,
        golden_path: str | None,
    ) -> None:
        """One side gives the outputs that are on disk."""
        self.found.confirmed.append(f"the {name} loads with TensorFlow {self._running}")
        if golden_path is None:
            self.found.notes.append(f"there are no golden predictions to replay with the {name}")
            return
        variant = module_spec.variant(twin.inference_tags(module_spec.get_tags()))
        inputs, expected = golden.load(golden_path, variant.inputs(signature_lib.DEFAULT))
        outputs, again = (side.outputs(signature_lib.DEFAULT, inputs) for _ in range(2))
        random = {key for key in outputs if not sides.is_same({key: outputs[key]}, again)}
        tolerance, told = self._tolerance()
        compared = parity.compared(
            parity.GOLDEN,
            {key: value for key, value in expected.items() if key not in random},
            {key: list(map(golden.storable, value)) for key, value in outputs.items() if key not in random},
            tolerance=tolerance,
            between=("the archive", f"the {name}"),
        )
        self.found.numbers.setdefault("golden", {})[name] = compared.difference
        self.found.numbers["golden_tolerance"] = tolerance
        if random:
            self.found.notes.append(f"random, and not compared with golden predictions: {sorted(random)!r}")
        if compared.problem:
            self.found.problems.append(f"golden predictions of the {name}: {compared.problem}{told}")
        else:
            difference = f"{compared.difference:.2g}, accepted is {tolerance:g}{told}"
            self.found.confirmed.append(f"golden predictions of the {name} differ by {difference}")

    def _tolerance(self) -> tuple[float, str]:
        if self._written_with in (None, self._running):
            return TOLERANCE, ""
        told = f", as TensorFlow {self._written_with} wrote them and {self._running} runs"
        return OTHER_VERSION_TOLERANCE, told

    def check_twin(self, checks: list[dict[str, Any]]) -> None:
        """Module and twin are the same model; golden predictions are replayed apart."""
        compared = [parity.Check(**facts) for facts in checks if facts["name"] != parity.GOLDEN]
        self.found.numbers["twin"] = parity.summary(compared)["differences"]
        problems = [f"module and twin: {check.name}: {check.problem}" for check in compared if check.problem]
        self.found.problems.extend(problems)
        if not problems:
            largest = max((check.difference or 0.0 for check in compared), default=0.0)
            told = f"differ by {largest:.2g} at most in {len(compared)} checks, accepted is {TOLERANCE:g}"
            self.found.confirmed.append(f"module and twin {told}")


def _is_finite(value: np.ndarray | bytes, dtype: tf.DType) -> bool:
    if not (dtype.is_floating or dtype.is_complex):
        return True
    # NumPy itself knows no bfloat16, nor the floats of one byte.
    known = value if value.dtype.kind in "fc" else value.astype(np.float32)
    return bool(np.isfinite(known).all())
