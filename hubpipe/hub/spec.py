"""ModuleSpec: what a module is, before it stands in a graph."""

import functools
import os
from collections.abc import Callable, Collection, Sequence

from absl import logging
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.hub import attachments, format, lower, readers, write
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variables as variables_lib
from hubpipe.hub import variant as variant_lib


class ModuleSpec:
    """A module's graph variants and, if it was loaded from disk, where the values of its variables are.

    Made by create_module_spec and load_module_spec; takes the place of a path in Module(spec).
    """

    def __init__(self, variants: Sequence[variant_lib.Variant], *, checkpoint_path: str | None = None):
        self._variants = {variant.tags: variant for variant in variants}
        self._checkpoint_path = checkpoint_path

    def __repr__(self) -> str:
        if self._checkpoint_path is None:
            return f"<ModuleSpec of variants {[sorted(tags) for tags in self._variants]}>"
        return f"<ModuleSpec of {os.path.dirname(os.path.dirname(self._checkpoint_path))}>"

    @property
    def checkpoint_path(self) -> str | None:
        """Prefix of the tensor bundle with the values of the variables; None for a module without values."""
        return self._checkpoint_path

    def get_tags(self) -> list[frozenset[str]]:
        """The tag sets of the graph variants."""
        return list(self._variants)

    def variant(self, tags: Collection[str] | None = None) -> variant_lib.Variant:
        """The graph variant with exactly these tags; None is the empty set.

        Raises:
            SignatureError: there is none.
        """
        tags = variant_lib.tag_set(tags)
        if tags not in self._variants:
            known = ", ".join(str(sorted(other)) for other in self._variants)
            raise errors.SignatureError(f"No such graph variant: tags={sorted(tags)!r}. The module has {known}.")
        return self._variants[tags]

    def get_signature_names(self, tags: Collection[str] | None = None) -> list[str]:
        """The names of the signatures that a graph variant has."""
        return self.variant(tags).signature_names

    def get_input_info_dict(
        self, signature: str | None = None, tags: Collection[str] | None = None
    ) -> dict[str, signature_lib.ParsedTensorInfo]:
        """What a signature takes.

        Args:
            signature: its name, "default" if None.
            tags: the graph variant's.
        Returns:
            dict name -> info with `dtype`, `get_shape()`, `is_sparse`.
        Raises:
            SignatureError: unknown signature or tags.
        """
        return self.variant(tags).inputs(signature or signature_lib.DEFAULT)

    def get_output_info_dict(
        self, signature: str | None = None, tags: Collection[str] | None = None
    ) -> dict[str, signature_lib.ParsedTensorInfo]:
        """What a signature returns; see get_input_info_dict."""
        return self.variant(tags).outputs(signature or signature_lib.DEFAULT)

    def get_attached_message(
        self, key: str, message_type: type, tags: Collection[str] | None = None, required: bool = False
    ):
        """A fresh copy of the message attached under a key, None if there is none and it is not required.

        Raises:
            MissingAttachmentError: there is none and it is required.
        """
        return attachments.get(self.variant(tags), key, message_type, required=required)

    def export(
        self,
        path: str,
        _sentinel: None = None,
        checkpoint_path: str | None = None,
        name_transform_fn: Callable[[str], str] | None = None,
    ) -> None:
        """Writes the module with the values that its variables have in a checkpoint.

        The bytes of the variables are copied from file to file: no session, no more memory for larger variables.

        Args:
            path: directory of the module; it must not exist or be empty.
            checkpoint_path: prefix of the checkpoint, of TensorFlow's V2 (or old V1) format; or a directory, for
                the latest checkpoint in it.
            name_transform_fn: name of a variable in the module -> its name in the checkpoint; None if they agree.
        Raises:
            ExportExistsError: the directory is not empty; nothing was written.
            ModuleSpecError: no checkpoint path; a variable that the checkpoint lacks, or has in another shape or
                type.
            FormatError: a checkpoint that is missing or broken.
        """
        if _sentinel is not None:
            raise TypeError("export takes checkpoint_path and name_transform_fn by keyword only.")
        if not checkpoint_path:
            raise errors.ModuleSpecError("Missing mandatory `checkpoint_path` parameter of ModuleSpec.export.")
        names = {name: name_transform_fn(name) if name_transform_fn else name for name in self.variable_shapes()}
        source = variables_lib.Checkpoint(variables_lib.latest(checkpoint_path), accept_v1=True)
        source.check(names, self.variable_shapes())
        self.write(path, lambda prefix: source.copy(names, prefix))

    def write(self, path: str, write_variables: Callable[[str], None]) -> None:
        """Writes the module to a directory; warns if the oldest supported TensorFlow cannot read it.

        Args:
            path: directory of the module; it must not exist or be empty.
            write_variables: writes a tensor bundle to the prefix it is given.
        Raises:
            ExportExistsError: the directory is not empty; nothing was written.
            ModuleSpecError: the graphs are too large for a file.
        """
        size = sum(variant.meta_graph.ByteSize() for variant in self._variants.values())
        if size > format.MAX_FILE_BYTES:
            raise errors.ModuleSpecError(
                f"{path}: the graphs of the module's variants have {size} bytes, {format.SAVED_MODEL_FILE} has "
                f"at most {format.MAX_FILE_BYTES}. Keep large values in variables or assets, not in constants."
            )
        oldest = readers.versions()[0]
        if self.oldest_reader != oldest:
            obstacles = self.obstacles(oldest)
            others = f" and {len(obstacles) - 1} more" if len(obstacles) > 1 else ""
            logging.warning("%s: TensorFlow %s cannot read this module: %s%s.", path, oldest, obstacles[0], others)
        write.write_module(self._lowered, path, write_variables)

    @functools.cached_property
    def oldest_reader(self) -> str | None:
        """The oldest TensorFlow that reads the module when it is exported, e.g. "1.15"; None if none is known."""
        return readers.oldest_reader(self._lowered)

    def obstacles(self, version: str) -> list[str]:
        """What keeps a version of TensorFlow from reading the module when it is exported.

        Args:
            version: one of readers.versions(), e.g. "1.15".
        Returns:
            A line for each obstacle; it names the node, its op and the oldest version that reads it.
        Raises:
            ExportError: hubpipe does not know the version.
        """
        return [
            f"{variant.describe()}, {obstacle}"
            for variant, lowered in zip(self._variants.values(), self._lowered, strict=True)
            for obstacle in readers.obstacles(lowered, version)
        ]

    @functools.cached_property
    def _lowered(self) -> list[meta_graph_pb2.MetaGraphDef]:
        """What is written of the graph variants."""
        return [lower.lowered(variant.meta_graph) for variant in self._variants.values()]

    def variable_shapes(self) -> dict:
        """dict name -> (dtype, shape) of the variables of all graph variants."""
        return {
            name: shape for variant in self._variants.values() for name, shape in variant.variable_shapes.items()
        }
