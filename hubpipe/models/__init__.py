"""Features to an EstimatorSpec; the encoder is what becomes the module."""

from hubpipe.config import schema
from hubpipe.models import image, keras, text

# What makes the module of each kind of model.
MODELS = {
    schema.TextModel: text.create_spec,
    schema.ImageModel: image.create_spec,
    schema.KerasModel: keras.create_spec,
}
# The regularizers that the config gives to variables; a kind that is not here has them in its own code.
REGULARIZERS = {schema.TextModel: text.regularizers, schema.ImageModel: image.regularizers}
