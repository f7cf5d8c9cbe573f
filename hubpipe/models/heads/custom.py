"""Heads of users' own, which the config names.

head_fn is called as head_fn(labels=..., **params), with the names of the classes if it takes labels, and returns
an object with three methods; a class will do:

    logits(encoded)          float32 [batch, dim] -> float32 [batch, units]; makes the head's variables
    losses(logits, labels)   -> float32 [batch]; labels are as model_fn.head.labels says
    predictions(logits)      -> dict name -> tensor [batch, ...]; `predicted` is what metrics compare with labels
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, own_code
from hubpipe.config import schema
from hubpipe.models.heads import head, streaming

_KEY = "model_fn.head.head_fn"
_PARAMS_KEY = "model_fn.head.params"
_METHODS = ("logits", "losses", "predictions")
_PREDICTED = "predicted"
_SUPPLIED = ("labels",)


def check(section: schema.CustomHead) -> None:
    """What can be told before data are read: can the function be imported, and does it take its parameters?

    Raises:
        ConfigError: all that is wrong.
    """
    called = own_code.function(section.head_fn, key=_KEY)
    own_code.check_arguments(called, section.params, _SUPPLIED, path=section.head_fn, key=_PARAMS_KEY)


class Custom(head.Head):
    """What the object of a head_fn says.

    Raises:
        ConfigError: the function cannot be called, raises, or returns something else.
    """

    def __init__(
        self, section: schema.CustomHead, labels: Sequence[str] = (), moments: tuple[float, float] = (0.0, 1.0)
    ):
        super().__init__(section, labels, moments)
        check(section)
        called = own_code.function(section.head_fn, key=_KEY)
        arguments = own_code.arguments(
            called, section.params, {"labels": list(labels)}, path=section.head_fn, key=_PARAMS_KEY
        )
        with own_code.blamed(section.head_fn, key=_KEY):
            self._own = called(**arguments)
            missing = [name for name in _METHODS if not callable(getattr(self._own, name, None))]
            if missing:
                raise errors.ModuleSpecError(
                    f"returned a value of type {type(self._own).__name__}, which has no method "
                    f"{' and no '.join(missing)}; expected {', '.join(_METHODS)}"
                )

    def logits(self, encoded: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim] -> float32 [batch, units]."""
        with own_code.blamed(self._section.head_fn, key=_KEY), tf1.variable_scope(head.SCOPE):
            logits = self._own.logits(encoded)
            self._check("logits", logits, rank=2)
        return logits

    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See Head."""
        with own_code.blamed(self._section.head_fn, key=_KEY), _no_new_variables("losses"):
            losses = self._own.losses(logits, labels)
            self._check("losses", losses, rank=1)
        return losses

    def metrics(
        self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> dict[str, streaming.Metric]:
        """See Head; none but the loss, others are the config's own."""
        del logits, labels, weights
        return {}

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """See Head."""
        with own_code.blamed(self._section.head_fn, key=_KEY), _no_new_variables("predictions"):
            predictions = self._own.predictions(logits)
            if not isinstance(predictions, Mapping) or _PREDICTED not in predictions:
                found = sorted(predictions) if isinstance(predictions, Mapping) else type(predictions).__name__
                raise errors.ModuleSpecError(
                    f"predictions returned {found}; expected a dict with the key {_PREDICTED!r}"
                )
            for name, value in predictions.items():
                if not tf.is_tensor(value):
                    raise errors.ModuleSpecError(
                        f"predictions returned {type(value).__name__} as {name!r}; expected tensors"
                    )
        return dict(predictions)

    def compared(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See Head; as the head has them."""
        return labels, self.predictions(logits)[_PREDICTED]

    def _check(self, method: str, value: object, *, rank: int) -> None:
        if not tf.is_tensor(value) or value.dtype != tf.float32 or value.shape.rank not in (None, rank):
            expected = "float32 [batch, units]" if rank == 2 else "float32 [batch], a loss for each example"
            raise errors.ModuleSpecError(f"{method} returned {value!r}; expected {expected}")


@contextlib.contextmanager
def _no_new_variables(method: str) -> Iterator[None]:
    """Makes sure that a block makes no variables: scores of a version are computed without the model's graph.

    Raises:
        ModuleSpecError: it makes some.
    """
    before = {variable.op.name for variable in tf1.global_variables()}
    yield
    new = sorted({variable.op.name for variable in tf1.global_variables()} - before)
    if new:
        raise errors.ModuleSpecError(f"{method} makes the variable {new[0]!r}; make it in logits")
