"""The TF2 twin of a version that is being written, golden values, and the proof that all are one model."""

import os
from collections.abc import Mapping
from typing import Any

from hubpipe.exporters import registered
from hubpipe.files import atomic
from hubpipe.hub import signature as signature_lib
from hubpipe.saved_model import golden, parity, twin, write
from hubpipe.store import layout


class Twins:
    """Adds twins to the versions of one run.

    Args:
        golden_inputs: of the signature "default", dict name -> value; None to make some up.
    """

    def __init__(self, golden_inputs: Mapping[str, Any] | None = None):
        self._golden_inputs = golden_inputs
        self._writer = write.TwinWriter()

    def add(self, version_dir: str, module: registered.RegisteredModule, checkpoint_path: str) -> dict[str, Any]:
        """Writes the twin of an exported module beside it, and compares both with the graph that was trained.

        Args:
            version_dir: where the module was exported to; still a staging directory.
            module: the module.
            checkpoint_path: the checkpoint that its values are from.
        Returns:
            The facts for the manifest: `path`; `lost`, what of the module the twin lacks; `tolerance` and
            `differences` of the comparison.
        Raises:
            ParityError: they are not the same model; the message says what differs by how much.
            ModuleSpecError: state that a SavedModel of TensorFlow 2 cannot hold.
        """
        path = os.path.join(version_dir, layout.TWIN)
        lost = self._writer.write(version_dir, path)
        golden_path = self._write_golden(version_dir, module, checkpoint_path)
        checks = parity.check(version_dir, path, golden_path)
        parity.require(checks, f"{module.export_name} of {checkpoint_path}")
        return {"path": layout.TWIN, "lost": lost, **parity.summary(checks)}

    def _write_golden(
        self, version_dir: str, module: registered.RegisteredModule, checkpoint_path: str
    ) -> str | None:
        """Writes what the trained graph returns; None if it does not use the variant that is for inference."""
        variant = module.spec.variant(module.tags)
        if module.tags != twin.inference_tags(module.spec.get_tags()):
            return None
        if signature_lib.DEFAULT not in variant.signature_names:
            return None
        inputs = self._golden_inputs or golden.make(variant.inputs(signature_lib.DEFAULT))
        path = os.path.join(version_dir, layout.GOLDEN)
        atomic.make_dirs(os.path.dirname(path))
        golden.save(path, inputs, module.outputs(checkpoint_path, inputs))
        return path
