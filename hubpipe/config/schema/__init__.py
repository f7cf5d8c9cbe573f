"""Every key of a config with its default, unit and meaning; the only list of kinds.

A new kind is a new Section with its own `kind`, and one more member of the union that names it.
"""

from hubpipe.config.schema.config import Config, json_schema
from hubpipe.config.schema.fields import Section
from hubpipe.config.schema.heads import METRICS, ClassificationHead, Head
from hubpipe.config.schema.inputs import (
    COLUMN_KEYS,
    SOURCE_KEYS,
    Augmentation,
    ImageInputs,
    ImageSource,
    Inputs,
    Source,
    TextInputs,
)
from hubpipe.config.schema.models import (
    Dropout,
    ImageEncoder,
    ImageModel,
    KerasModel,
    Model,
    Regularizer,
    TextEncoder,
    TextModel,
)
from hubpipe.config.schema.optimizers import (
    Adagrad,
    Adam,
    CosineRate,
    ExponentialRate,
    Ftrl,
    LearningRate,
    LinearRate,
    Momentum,
    Optimizer,
    OptimizerSection,
    PiecewiseRate,
    Schedule,
    Sgd,
)
from hubpipe.config.schema.training import EarlyStopping, Export, Selection, StoreSection, TensorFlowVersion

__all__ = [
    "Adagrad",
    "Adam",
    "Augmentation",
    "COLUMN_KEYS",
    "ClassificationHead",
    "Config",
    "CosineRate",
    "Dropout",
    "EarlyStopping",
    "ExponentialRate",
    "Export",
    "Ftrl",
    "Head",
    "ImageEncoder",
    "ImageInputs",
    "ImageModel",
    "ImageSource",
    "Inputs",
    "KerasModel",
    "LearningRate",
    "LinearRate",
    "METRICS",
    "Model",
    "Momentum",
    "Optimizer",
    "OptimizerSection",
    "PiecewiseRate",
    "Regularizer",
    "SOURCE_KEYS",
    "Schedule",
    "Section",
    "Selection",
    "Sgd",
    "Source",
    "StoreSection",
    "TensorFlowVersion",
    "TextEncoder",
    "TextInputs",
    "TextModel",
    "json_schema",
]
