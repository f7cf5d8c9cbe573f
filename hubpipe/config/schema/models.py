"""Sections of models, by kind."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from hubpipe.config.schema.fields import Decay, ImportPath, Rate, Section, Text
from hubpipe.config.schema.heads import ClassificationHead, Head


class TextEncoder(Section):
    """Pooled embeddings of words, n-grams and characters, then dense layers; this part becomes the module."""

    embedding_dim: PositiveInt = Field(64, description="columns of each embedding table")
    ngrams: int = Field(2, ge=1, le=4, description="longest n-gram, in words")
    char_ngrams: tuple[PositiveInt, ...] = Field(
        (3, 4),
        strict=False,
        description="lengths of the n-grams of characters of each word, its two ends included; []: none",
    )
    char_buckets: PositiveInt = Field(5000, description="embeddings shared, by hash, by the n-grams of characters")
    word_dropout: Rate = Field(
        0.75, description="fraction of n-grams left out of each text in training; none while the dropout rate is 0"
    )
    hidden_units: tuple[PositiveInt, ...] = Field(
        (128,), strict=False, description="units of each dense layer; the last is the module's output"
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of the dense layers")
    pooling: Literal["mean", "sqrtn"] = Field(
        "mean", description="divide the sum of a text's n embeddings by n (mean) or by its square root (sqrtn)"
    )
    lowercase: bool = Field(True, description="lower-case the text, in the graph")
    max_vocabulary: PositiveInt = Field(50000, description="most n-grams in the vocabulary; the commonest stay")
    min_count: PositiveInt = Field(2, description="occurrences an n-gram needs to enter the vocabulary")
    oov_buckets: PositiveInt = Field(1000, description="embeddings shared, by hash, by all other n-grams")
    partitions: PositiveInt = Field(
        1, description="parts of each embedding table, which parameter servers share out; whole in the module"
    )


class Regularizer(Section):
    """Weights of the penalties on one group of variables; they travel with the module."""

    l1: NonNegativeFloat = Field(0.0, description="weight of the sum of absolute values")
    l2: NonNegativeFloat = Field(0.0, description="weight of the sum of squares")


class TextRegularizers(Section):
    """Penalties of the text encoder."""

    embedding: Regularizer = Field(Regularizer(), description="of the embedding table")
    kernel: Regularizer = Field(Regularizer(), description="of the kernels of the dense layers")


class Dropout(Section):
    """Dropout before layers, never on the module's output."""

    rate: Rate = Field(0.0, description="fraction of activations dropped in training, 0 <= rate < 1")


class BatchNorm(Section):
    """Batch normalization of each hidden layer."""

    enabled: bool = Field(True, description="normalize at all")
    momentum: Decay = Field(0.9, description="what a training step keeps of the moving averages, 0 < momentum < 1")
    epsilon: PositiveFloat = Field(0.001, description="added to the variance")


class TextModel(Section):
    """A text encoder and the head it is trained with."""

    kind: Literal["text"] = Field(description="kind of model")
    encoder: TextEncoder = Field(TextEncoder(), description="the part that becomes the module")
    regularizers: TextRegularizers = Field(TextRegularizers(), description="L1 and L2 penalties, exported too")
    dropout: Dropout = Field(Dropout(), description="dropout in the encoder")
    batch_norm: BatchNorm = Field(BatchNorm(), description="batch normalization in the encoder")
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")

    @property
    def vocabulary(self) -> TextEncoder:
        """What says which tokens of the training texts are counted."""
        return self.encoder


class ImageEncoder(Section):
    """A small residual network of three stages. Source: https://arxiv.org/abs/1512.03385, section 4.2."""

    depth: int = Field(8, ge=8, description="layers with a kernel: 6 n + 2, with n blocks of two in each stage")
    width: PositiveInt = Field(
        16, description="channels of the first stage; each next one has twice as many, on a quarter of the pixels"
    )
    stem: Literal["3x3", "7x7"] = Field(
        "3x3",
        description="first layer: 3x3 for small images; 7x7 with pooling, which leaves a sixteenth of the pixels",
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of all layers")

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, value: int) -> int:
        if (value - 2) % 6:
            raise ValueError(f"expected 6 n + 2, such as 8, 14, 20, 26 or 32; got {value}")
        return value


class ImageRegularizers(Section):
    """Penalties of the image encoder."""

    kernel: Regularizer = Field(Regularizer(), description="of the kernels of all layers")


class ImageModel(Section):
    """An image encoder, its classifier, and the head it is trained with."""

    kind: Literal["image"] = Field(description="kind of model")
    encoder: ImageEncoder = Field(ImageEncoder(), description="the network that makes the feature vector")
    regularizers: ImageRegularizers = Field(ImageRegularizers(), description="L1 and L2 penalties, exported too")
    dropout: Dropout = Field(
        Dropout(), description="inside the residual blocks and before the classifier, not on feature vectors"
    )
    batch_norm: BatchNorm = Field(BatchNorm(), description="batch normalization after each convolution")
    head: Head = Field(ClassificationHead(kind="classification"), description="loss and metrics")


class Vocabulary(Section):
    """Which tokens of the training texts are counted, and which stay."""

    ngrams: int = Field(1, ge=1, le=4, description="longest n-gram, in words")
    lowercase: bool = Field(True, description="lower-case the tokens")
    max_vocabulary: PositiveInt = Field(50000, description="most n-grams in the vocabulary; the commonest stay")
    min_count: PositiveInt = Field(2, description="occurrences an n-gram needs to enter the vocabulary")


class KerasModel(Section):
    """An encoder made of Keras layers, and the head it is trained with."""

    kind: Literal["keras"] = Field(description="kind of model")
    build_fn: ImportPath = Field(
        description="function that returns a functional or sequential model of Keras 2: 'package.module:function'",
    )
    params: dict[str, Any] = Field(
        {}, description="keyword arguments of build_fn; those in export.hyperparameters come as float32 scalars"
    )
    vocabulary: Vocabulary = Field(
        Vocabulary(), description="of the training texts; build_fn gets the file, if it takes vocabulary_path"
    )
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")


class CustomModel(Section):
    """An encoder made by a module_fn of the user's own, and the head it is trained with."""

    kind: Literal["custom"] = Field(description="kind of model")
    module_fn: ImportPath = Field(
        description="function that builds the module and calls hub.add_signature: 'package.module:function'"
    )
    params: dict[str, Any] = Field(
        {}, description="keyword arguments of module_fn; those in export.hyperparameters come as float32 scalars"
    )
    regularizers: dict[Text, Regularizer] = Field(
        {}, description="variable of the module: L1 and L2 penalties, for a module_fn that adds none; exported too"
    )
    vocabulary: Vocabulary = Field(
        Vocabulary(), description="of the training texts; module_fn gets the file, if it takes vocabulary_path"
    )
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")


class ImportedRegularizers(Section):
    """Penalties of the layers after an imported module, beside its own if it is trainable."""

    kernel: Regularizer = Field(Regularizer(), description="of the kernels of the dense layers")


class ImportedModel(Section):
    """A TF1 Hub module as the first layer of a new one, then dense layers, and the head they are trained with."""

    kind: Literal["imported"] = Field(description="kind of model")
    module: Text = Field(description="path or URL of the TF1 Hub module; it becomes part of the new one")
    trainable: bool = Field(False, description="fine-tune its weights, with its own regularization losses; false: frozen")
    signature: Text = Field("default", description="signature of the imported module that is applied")
    output: Text = Field("default", description="output of that signature, float32 [batch, dim]")
    hidden_units: tuple[PositiveInt, ...] = Field(
        (), strict=False, description="units of each dense layer after it; []: its output is the new module's"
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of the dense layers")
    regularizers: ImportedRegularizers = Field(
        ImportedRegularizers(), description="L1 and L2 penalties of the dense layers, exported too"
    )
    dropout: Dropout = Field(Dropout(), description="dropout before each dense layer")
    batch_norm: BatchNorm = Field(BatchNorm(), description="batch normalization in the dense layers")
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")

    @property
    def vocabulary(self) -> Vocabulary:
        """An imported module brings its own; texts are counted as any others."""
        return Vocabulary(min_count=1)


Model = Annotated[TextModel | ImageModel | KerasModel | CustomModel | ImportedModel, Field(discriminator="kind")]

# Those made by a function of the user's own, whose arguments are `params`.
OWN_MODELS = (KerasModel, CustomModel)
