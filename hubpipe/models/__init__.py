"""Features to an EstimatorSpec; the encoder is what becomes the module."""

from hubpipe.config import schema
from hubpipe.models import text

# What makes the module of each kind of model.
MODELS = {schema.TextModel: text.create_spec}
