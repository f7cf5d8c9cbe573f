"""Sections of models, by kind."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from hubpipe.config.schema.fields import Decay, ImportPath, Rate, Section, Text
from hubpipe.config.schema.heads import ClassificationHead, Head
from hubpipe.config.schema.optimizers import WideFtrl


class Convolution(Section):
    """Filters over neighbouring words; the most that each finds in a text. https://aclanthology.org/D14-1181"""

    widths: tuple[PositiveInt, ...] = Field(
        (2, 3, 4), strict=False, min_length=1, description="words that a filter sees; each width has its filters"
    )
    filters: PositiveInt = Field(64, description="of each width")
    max_words: PositiveInt = Field(400, description="words of a text that are read; what follows is not")

    @field_validator("widths")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"expected each width once; got {', '.join(map(str, value))}")
        return value


class Embeddings(Section):
    """Vectors of a file of GloVe, word2vec or fastText, beside the encoder's own; needs the extra [embeddings]."""

    file: Text = Field(description="path; a relative one starts at the current directory")
    train: Literal["frozen", "tuned", "tuned_after"] = Field(
        "frozen",
        description="frozen: never changed, by consumers neither; tuned: trained; tuned_after: from a step on",
    )
    tuned_after_steps: PositiveInt | None = Field(
        None, description="training steps before the vectors are trained; with train: tuned_after alone"
    )
    all_words: bool = Field(
        False, description="take all words of the file; false: those in the vocabulary of the training texts"
    )
    bad_lines: Literal["error", "skip"] = Field("error", description="malformed lines: stop, or count")

    @model_validator(mode="after")
    def _steps_of_tuned_after(self) -> "Embeddings":
        if (self.train == "tuned_after") != (self.tuned_after_steps is not None):
            given = "none" if self.tuned_after_steps is None else self.tuned_after_steps
            raise ValueError(f"tuned_after_steps goes with train: tuned_after alone, got {given}, {self.train}")
        return self


class Pair(Section):
    """What becomes of the encodings u, v of two texts. Source: https://arxiv.org/abs/1705.02364"""

    combine: tuple[Literal["concat", "difference", "product"], ...] = Field(
        ("concat", "difference", "product"),
        strict=False,
        min_length=1,
        description="concat: u and v; difference: |u - v|; product: u * v, element by element",
    )
    hidden_units: tuple[PositiveInt, ...] = Field(
        (128,), strict=False, description="units of each dense layer after that; the last is the module's output"
    )

    @field_validator("combine")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"expected each once; got {', '.join(value)}")
        return value


class TextEncoder(Section):
    """Pooled embeddings of words, n-grams and characters, then dense layers; this part becomes the module."""

    embedding_dim: PositiveInt = Field(64, description="columns of each embedding table")
    ngrams: int = Field(2, ge=1, le=4, description="longest n-gram, in words; with pooling: conv 1")
    boundaries: bool = Field(False, description="the ends of a text are words of its n-grams, too")
    char_ngrams: tuple[PositiveInt, ...] = Field(
        (3, 4),
        strict=False,
        description="lengths of the n-grams of characters of each word, its two ends included; []: none",
    )
    char_buckets: PositiveInt = Field(5000, description="embeddings shared, by hash, by the n-grams of characters")
    word_dropout: Rate = Field(
        0.75,
        description="fraction of n-grams (with pooling: conv, of words) left out of each text in training; none "
        "while the dropout rate is 0",
    )
    hidden_units: tuple[PositiveInt, ...] = Field(
        (128,), strict=False, description="units of each dense layer; the last is the module's output"
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of the dense layers")
    pooling: Literal["mean", "sqrtn", "attention", "conv"] = Field(
        "mean",
        description="divide the sum of a text's n embeddings by n (mean) or by its square root (sqrtn); weigh "
        "them by a learned attention; or conv: convolutions of its words, in their order",
    )
    conv: Convolution = Field(Convolution(), description="for pooling: conv")
    embeddings: Embeddings | None = Field(None, description="pre-trained vectors of words; null: none")
    pair: Pair | None = Field(
        None, description="how two texts become one vector; null: the defaults, if inputs.text_pair is set"
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


class _Deep(Section):
    embedding_dim: PositiveInt | None = Field(
        None, description="columns of the embedding table of each feature; null: by its number of categories"
    )
    hidden_units: tuple[PositiveInt, ...] = Field(
        (128, 64), strict=False, min_length=1, description="units of each dense layer; the last is the output"
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of the dense layers")


class _Wide(Section):
    crosses: tuple[Annotated[tuple[Text, ...], Field(strict=False, min_length=2)], ...] = Field(
        (), strict=False, description="lists of features whose combinations of categories have a weight each"
    )
    cross_buckets: PositiveInt = Field(2000, description="weights shared, by hash, by the combinations of a cross")
    wide_optimizer: WideFtrl = Field(
        WideFtrl(kind="ftrl", learning_rate=0.1, l1=0.001), description="of the wide part's weights alone"
    )


class DeepEncoder(_Deep):
    """Embeddings of categories and normalized numbers, then dense layers."""

    kind: Literal["deep"] = Field(description="kind of encoder")


class WideEncoder(_Wide):
    """A sparse linear model: a weight for each number, category and combination of categories."""

    kind: Literal["wide"] = Field(description="kind of encoder")


class WideAndDeepEncoder(_Deep, _Wide):
    """Both, added up to logits. Source: https://arxiv.org/abs/1606.07792."""

    kind: Literal["wide_and_deep"] = Field(description="kind of encoder")


TabularEncoder = Annotated[DeepEncoder | WideEncoder | WideAndDeepEncoder, Field(discriminator="kind")]


class TabularRegularizers(Section):
    """Penalties of the deep part; the wide part has the L1 of its optimizer."""

    embedding: Regularizer = Field(Regularizer(), description="of the embedding tables")
    kernel: Regularizer = Field(Regularizer(), description="of the kernels of the dense layers")


class TabularModel(Section):
    """An encoder of rows of a table, and the head it is trained with."""

    kind: Literal["tabular"] = Field(description="kind of model")
    encoder: TabularEncoder = Field(DeepEncoder(kind="deep"), description="the part that becomes the module")
    regularizers: TabularRegularizers = Field(
        TabularRegularizers(), description="L1 and L2 penalties of the deep part, exported too"
    )
    dropout: Dropout = Field(Dropout(), description="dropout before the dense layers of the deep part")
    batch_norm: BatchNorm = Field(BatchNorm(), description="batch normalization in the deep part")
    head: Head = Field(ClassificationHead(kind="classification"), description="loss and metrics")


class Vocabulary(Section):
    """Which tokens of the training texts are counted, and which stay."""

    ngrams: int = Field(1, ge=1, le=4, description="longest n-gram, in words")
    boundaries: bool = Field(False, description="the ends of a text, < and >, are words of its n-grams, too")
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
    trainable: bool = Field(False, description="fine-tune its weights, with its own regularization losses, too")
    signature: Text = Field("default", description="signature of the imported module that is applied")
    output: Text = Field("default", description="output of that signature, float32 [batch, dim]")
    hidden_units: tuple[PositiveInt, ...] = Field(
        (), strict=False, description="units of each dense layer after it; []: its output is the new module's"
    )
    activation: Literal["relu", "tanh", "gelu", "swish"] = Field("relu", description="of the dense layers")
    regularizers: ImportedRegularizers = Field(
        ImportedRegularizers(), description="L1 and L2 penalties of the dense layers, exported too"
    )
    dropout: Dropout = Field(
        Dropout(), description="before each dense layer; the rate also in a fine-tuned module that takes it"
    )
    batch_norm: BatchNorm = Field(
        BatchNorm(), description="in the dense layers; the momentum also in a fine-tuned module that takes it"
    )
    head: Head = Field(ClassificationHead(kind="classification"), description="the part that stays behind")

    @property
    def vocabulary(self) -> Vocabulary:
        """An imported module brings its own; texts are counted as any others."""
        return Vocabulary(min_count=1)


Model = Annotated[
    TextModel | ImageModel | TabularModel | KerasModel | CustomModel | ImportedModel, Field(discriminator="kind")
]

# Those made by a function of the user's own, whose arguments are `params`.
OWN_MODELS = (KerasModel, CustomModel)
