"""Base class of dense feature columns, for both generations of TensorFlow's feature column API.

`input_layer`, `linear_model` and the canned estimators on them ask for the first generation (methods with an
underscore), `DenseFeatures` and newer canned estimators for the second. Neither base class has a public name.
"""

import abc

import tensorflow as tf
from tensorflow.python.feature_column import feature_column, feature_column_v2, serialization

FeatureColumn = feature_column_v2.fc_types.FeatureColumn
serialize = serialization.serialize_feature_column
deserialize = serialization.deserialize_feature_column

_RESOURCE = "resource"


class StatefulDenseColumn(feature_column._DenseColumn, feature_column_v2.DenseColumn):
    """A column that turns one feature into a dense tensor by means of a resource that it creates.

    A subclass says what both generations need, once: besides the abstract methods here, `name`, `parents`,
    `parse_example_spec`, `variable_shape`, `get_config` and `from_config` of the second generation.

    Attributes:
        key: name of the feature, or a column that makes it; to be set by the subclass.
    """

    @abc.abstractmethod
    def transform(self, feature):
        """The feature as `embed` takes it."""

    @abc.abstractmethod
    def create_resource(self, trainable: bool):
        """What `embed` computes with, created in the current graph; to be trained only if `trainable`."""

    @abc.abstractmethod
    def trained_variables(self, resource) -> list[tf.Variable]:
        """The variables of a resource that the layer is to train."""

    @abc.abstractmethod
    def embed(self, resource, transformed) -> tf.Tensor:
        """The dense tensor, [batch] + variable_shape."""

    # First generation.

    @property
    def _parse_example_spec(self):
        return self.parse_example_spec

    @property
    def _variable_shape(self):
        return self.variable_shape

    def _transform_feature(self, inputs):
        return self.transform(inputs.get(self.key))

    def _get_dense_tensor(self, inputs, weight_collections=None, trainable=None):
        del weight_collections  # the resource knows the collections of its variables
        return self.embed(self.create_resource(trainable=trainable is not False), inputs.get(self))

    # Second generation.

    @property
    def _is_v2_column(self):
        return isinstance(self.key, (str, FeatureColumn))

    def transform_feature(self, transformation_cache, state_manager):
        """The feature as `embed` takes it; called by a layer."""
        return self.transform(transformation_cache.get(self.key, state_manager))

    def create_state(self, state_manager):
        """Creates the resource, once for all applications of a layer; the layer trains its variables."""
        resource = self.create_resource(trainable=True)
        state_manager.add_resource(self, _RESOURCE, resource)
        # A layer takes the variables in its attributes for its weights, and Keras trains no others.
        setattr(state_manager._layer, f"_{self.name}_variables", self.trained_variables(resource))

    def get_dense_tensor(self, transformation_cache, state_manager):
        """The dense tensor, [batch] + variable_shape; called by a layer."""
        resource = state_manager.get_resource(self, _RESOURCE)
        return self.embed(resource, transformation_cache.get(self, state_manager))
