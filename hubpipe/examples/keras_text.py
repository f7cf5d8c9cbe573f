"""A text encoder made of Keras layers, for configs/keras.yaml."""

import tensorflow as tf


class MeanOfWords(tf.keras.layers.Layer):
    """float32 [batch, words, dim] -> the mean over the words that the mask keeps; 0 if there is none."""

    def call(self, inputs, mask):
        kept = tf.cast(mask, tf.float32)[:, :, tf.newaxis]  # [batch, words, 1]
        return tf.math.divide_no_nan(tf.reduce_sum(inputs * kept, axis=1), tf.reduce_sum(kept, axis=1))

    def compute_mask(self, inputs, mask=None):
        return None


def encoder(
    *,
    vocabulary_path: str,
    ngrams: int = 2,
    embedding_dim: int = 64,
    units: int = 128,
    embedding_l2: float = 0.0,
    kernel_l2: float = 0.0,
    dropout_rate: float | tf.Tensor = 0.0,
    batch_norm_momentum: float | tf.Tensor = 0.9,
):
    """The mean of the embeddings of words and n-grams, then a dense layer.

    Args:
        vocabulary_path: file of the known n-grams, one per line, given by hubpipe.
        ngrams: longest n-gram, in words; model_fn.vocabulary.ngrams says which are in the file.
        embedding_dim: columns of the embedding table.
        units: of the dense layer, the encoder's output.
        embedding_l2: weight of the sum of squares of the embedding table.
        kernel_l2: the same of the dense layer's kernel.
        dropout_rate: fraction of words and n-grams that is dropped in training.
        batch_norm_momentum: what a training step keeps of the moving averages.
    Returns:
        keras.Model, text: string [batch] -> float32 [batch, units].
    """
    keras = tf.keras
    with tf.io.gfile.GFile(vocabulary_path) as file:
        size = sum(1 for _ in file)
    text = keras.Input([], dtype=tf.string, name="text")
    vectorize = keras.layers.TextVectorization(standardize=_standardize, ngrams=ngrams, vocabulary=vocabulary_path)
    embedding = keras.layers.Embedding(
        size + 2,  # padding and unknown words come first
        embedding_dim,
        embeddings_regularizer=keras.regularizers.L2(embedding_l2),
        mask_zero=True,
    )
    # noise_shape: a word is dropped whole, https://aclanthology.org/P15-1162, section 4.
    kept = keras.layers.Dropout(dropout_rate, noise_shape=[None, None, 1])(embedding(vectorize(text)))
    kernel_regularizer = keras.regularizers.L2(kernel_l2)
    hidden = keras.layers.Dense(units, use_bias=False, kernel_regularizer=kernel_regularizer)(MeanOfWords()(kept))
    normalized = keras.layers.BatchNormalization(momentum=batch_norm_momentum)(hidden)
    return keras.Model(text, keras.layers.ReLU()(normalized))


def _standardize(text: tf.Tensor) -> tf.Tensor:
    """Lower case, and a space between words, by the rule that hubpipe counts the vocabulary with."""
    return tf.strings.regex_replace(tf.strings.lower(text, encoding="utf-8"), r"[^\p{L}\p{N}']+", " ")
