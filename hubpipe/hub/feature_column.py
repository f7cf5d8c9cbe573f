"""Feature columns that embed a feature with a module.

For tf.compat.v1.feature_column.input_layer and linear_model, DenseFeatures of Keras 2, and canned estimators.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import feature_column as compat_columns
from hubpipe.hub import common_signatures, image, spec
from hubpipe.hub import module as module_lib
from hubpipe.hub import signature as signature_lib

# How the embeddings of the tokens of an example become one.
_COMBINERS = {
    "mean": tf.math.unsorted_segment_mean,
    "sqrtn": tf.math.unsorted_segment_sqrt_n,
    "sum": tf.math.unsorted_segment_sum,
}
_RGB_CHANNELS = 3


def text_embedding_column(
    key: str | compat_columns.FeatureColumn,
    module_spec: spec.ModuleSpec | str,
    trainable: bool = False,
) -> "_TextEmbeddingColumn":
    """A column that embeds texts.

        comment = hub.text_embedding_column("comment", "/tmp/text-module")
        features = {"comment": np.array(["wow, much amazing", "so easy"])}
        tf.compat.v1.feature_column.input_layer(features, [comment])  # float32 [batch, dim]

    Args:
        key: name of the feature, string [batch] or [batch, 1]; or a column that makes it.
        module_spec: a ModuleSpec, or the handle of a module for load_module_spec, whose signature `default` is
            string [None] -> float32 [None, dim].
        trainable: whether the module is trained along; its weights are frozen otherwise.
    Returns:
        A dense column of variable_shape [dim].
    Raises:
        ColumnError: naming all that makes the module unfit.
        HandleError, FormatError, SignatureError: as load_module_spec and ModuleSpec.get_input_info_dict.
    """
    return _TextEmbeddingColumn(key, module_spec, trainable)


def sparse_text_embedding_column(
    key: str | compat_columns.FeatureColumn,
    module_spec: spec.ModuleSpec | str,
    combiner: str,
    default_value: str | None,
    trainable: bool = False,
) -> "_SparseTextEmbeddingColumn":
    """A column that embeds each of several texts, such as tokens, and combines the embeddings of an example.

        tokens = hub.sparse_text_embedding_column("tokens", "/tmp/text-module", "mean", default_value="")
        features = {"tokens": tf.SparseTensor([[0, 0], [0, 1], [2, 0]], ["sparse", "text", "here"], [3, 2])}

    Args:
        key: name of the feature, a SparseTensor of string [batch, any]; or a column that makes it.
        module_spec: as for text_embedding_column.
        combiner: "mean", "sqrtn" (the sum over the square root of the number) or "sum".
        default_value: text that stands for an example without any; None gives such an example zeros.
        trainable: as for text_embedding_column.
    Returns:
        A dense column of variable_shape [dim].
    Raises:
        ColumnError: an unknown combiner, a default_value that is no text, or all that makes the module unfit.
        HandleError, FormatError, SignatureError: as for text_embedding_column.
    """
    return _SparseTextEmbeddingColumn(key, combiner, module_spec, default_value, trainable)


def image_embedding_column(
    key: str | compat_columns.FeatureColumn,
    module_spec: spec.ModuleSpec | str,
    image_size: Sequence[int] | None = None,
) -> "_ImageEmbeddingColumn":
    """A column that embeds images with frozen weights.

        photo = hub.image_embedding_column("photo", "/tmp/image-module")
        height, width = hub.get_expected_image_size(photo.module_spec)

    Args:
        key: name of the feature, float32 [batch, height, width, 3] in [0, 1]; or a column that makes it.
        module_spec: a ModuleSpec, or the handle of a module for load_module_spec, whose signature `default` takes
            `images`, float32 [None, height, width, 3], and returns float32 [None, dim].
        image_size: (height, width) in pixels, if the module leaves it open or another one is wanted.
    Returns:
        A dense column of variable_shape [dim].
    Raises:
        ColumnError: a malformed image_size, or all that makes the module unfit.
        HandleError, FormatError, SignatureError: as for text_embedding_column.
    """
    return _ImageEmbeddingColumn(key, module_spec, image_size)


class _ModuleColumn(compat_columns.StatefulDenseColumn):
    """What the columns have in common; class names and fields are what saved configurations name.

    A subclass is a dataclass with `key`, `module_spec_path`, `trainable` and the property `example_feature`, what
    tf.io.parse_example is to read for the key.
    """

    @functools.cached_property
    def module_spec(self) -> spec.ModuleSpec:
        """The ModuleSpec, loaded once."""
        return module_lib.as_module_spec(self.module_spec_path)

    @property
    def name(self) -> str:
        """Name of the column, and of the scope of its variables."""
        return f"{getattr(self.key, 'name', self.key)}_hub_module_embedding"

    @property
    def parents(self) -> list:
        """The name of the feature, or the column that makes it."""
        return [self.key]

    @property
    def variable_shape(self) -> tf.TensorShape:
        """[dim]."""
        return self.module_spec.get_output_info_dict()[signature_lib.DEFAULT].get_shape()[1:]

    @property
    def parse_example_spec(self) -> dict:
        """What tf.io.parse_example needs to read the feature."""
        if isinstance(self.key, str):
            return {self.key: self.example_feature}
        return self.key.parse_example_spec

    def create_resource(self, trainable: bool) -> module_lib.Module:
        """The module, in the current graph."""
        return module_lib.Module(self.module_spec, trainable=self.trainable and trainable)

    def trained_variables(self, resource: module_lib.Module) -> list[tf.Variable]:
        """The module's trainable variables, none if the column is frozen."""
        return [variable for variable in resource.variables if self.trainable and variable.trainable]

    def get_config(self) -> dict:
        """The column as plain values.

        Raises:
            ColumnConfigError: it was made of a ModuleSpec, not of a path.
        """
        if isinstance(self.module_spec_path, spec.ModuleSpec):
            raise errors.ColumnConfigError(
                "Can only generate a valid config for a column that was made with the path of a module; "
                f"{self.name!r} was made with a ModuleSpec. Export the module and pass its path."
            )
        config = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **config,
            "key": compat_columns.serialize(self.key),
            "module_spec_path": os.fsdecode(self.module_spec_path),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None, columns_by_name: dict | None = None):
        """The inverse of get_config."""
        return cls(**{**config, "key": compat_columns.deserialize(config["key"], custom_objects, columns_by_name)})

    def _refuse(self, problems: Sequence[str]) -> None:
        if problems:
            raise errors.ColumnError(f"Module cannot be used in column {self.name!r}: {'; '.join(problems)}")


@dataclasses.dataclass(frozen=True)
class _TextEmbeddingColumn(_ModuleColumn):
    """One text per example."""

    key: str | compat_columns.FeatureColumn
    module_spec_path: spec.ModuleSpec | str
    trainable: bool = False

    def __post_init__(self):
        self._refuse(common_signatures.text_embedding_problems(self.module_spec))

    @property
    def example_feature(self) -> tf.io.FixedLenFeature:
        """One text."""
        return tf.io.FixedLenFeature([1], tf.string)

    def transform(self, feature: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
        """Texts, string [batch]."""
        if isinstance(feature, tf.SparseTensor):
            raise errors.SignatureInputError(
                f"Column {self.name!r} takes one text per example, got a SparseTensor. Use "
                "hub.sparse_text_embedding_column for several."
            )
        return tf.reshape(feature, [-1])

    def embed(self, resource: module_lib.Module, transformed: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim]."""
        return resource(transformed)


@dataclasses.dataclass(frozen=True)
class _SparseTextEmbeddingColumn(_ModuleColumn):
    """Any number of texts per example."""

    key: str | compat_columns.FeatureColumn
    combiner: str
    module_spec_path: spec.ModuleSpec | str
    default_value: str | None
    trainable: bool = False

    def __post_init__(self):
        if self.combiner not in _COMBINERS:
            raise errors.ColumnError(
                f"combiner must be one of {sorted(_COMBINERS)!r}: got {self.combiner!r} for column {self.name!r}."
            )
        if not isinstance(self.default_value, (str, bytes, type(None))):
            raise errors.ColumnError(
                f"default_value must be a text or None: got {self.default_value!r} for column {self.name!r}."
            )
        self._refuse(common_signatures.text_embedding_problems(self.module_spec))

    @property
    def example_feature(self) -> tf.io.VarLenFeature:
        """Any number of texts."""
        return tf.io.VarLenFeature(tf.string)

    def transform(self, feature: tf.Tensor | tf.SparseTensor) -> tf.SparseTensor:
        """Texts, string [batch, any]; at least one an example if there is a default_value."""
        if not isinstance(feature, tf.SparseTensor):
            raise errors.SignatureInputError(
                f"Column {self.name!r}: input must be a SparseTensor, got {feature!r}. Use "
                "hub.text_embedding_column for one text per example."
            )
        if self.default_value is None:
            return feature
        filled, _ = tf.sparse.fill_empty_rows(feature, self.default_value)
        return filled

    def embed(self, resource: module_lib.Module, transformed: tf.SparseTensor) -> tf.Tensor:
        """float32 [batch, dim]."""
        embeddings = resource(transformed.values)  # [texts, dim]
        combine = _COMBINERS[self.combiner]
        return combine(embeddings, transformed.indices[:, 0], num_segments=transformed.dense_shape[0])


@dataclasses.dataclass(frozen=True)
class _ImageEmbeddingColumn(_ModuleColumn):
    """One image per example."""

    key: str | compat_columns.FeatureColumn
    module_spec_path: spec.ModuleSpec | str
    image_size: Sequence[int] | None = None

    trainable = False

    def __post_init__(self):
        if self.image_size is not None:
            sides = list(self.image_size)
            if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
                raise errors.ColumnError(
                    f"image_size must be (height, width) in pixels: got {self.image_size!r} for {self.name!r}."
                )
            object.__setattr__(self, "image_size", tuple(sides))  # columns are keys of dicts
        problems = common_signatures.image_embedding_problems(self.module_spec, self.image_size is not None)
        self._refuse(problems)

    @property
    def example_feature(self) -> tf.io.FixedLenFeature:
        """One image, its pixels in order."""
        height, width = self.image_size or image.get_expected_image_size(self.module_spec)
        return tf.io.FixedLenFeature([height, width, self._num_channels()], tf.float32)

    def transform(self, feature: tf.Tensor) -> tf.Tensor:
        """Images as they are."""
        return feature

    def embed(self, resource: module_lib.Module, transformed: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim]."""
        return resource({image.IMAGES_INPUT: transformed})

    def _num_channels(self) -> int:
        try:
            return image.get_num_image_channels(self.module_spec)
        except errors.SignatureError:
            return _RGB_CHANNELS  # the module leaves it open
