"""What the user can mend of TensorFlow's errors."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema

_SHORTAGE = re.compile(
    r"^.*(No space left on device|Disk quota exceeded|OOM when allocating).*$", re.MULTILINE
)

# What hubpipe.models.metrics raises inside of an op.
_OWN_METRIC = re.compile(r"TrainingError: (metrics\..+)")


@contextlib.contextmanager
def explained(config: schema.Config) -> Iterator[None]:
    """Turns what the user can mend of TensorFlow's errors into a TrainingError."""
    try:
        yield
    except tf_estimator.NanLossDuringTrainingError as error:
        raise errors.TrainingError(
            f"{config.model_dir}: the loss became NaN. Lower optimizer.learning_rate, or set optimizer.clip_norm; "
            "if it was NaN from the start, look for NaN in the features and in functions of your own. The "
            "versions published so far are kept."
        ) from error
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
        own = _OWN_METRIC.search(error.message)
        if own is None:
            raise
        raise errors.TrainingError(own[1]) from error
    except tf.errors.OutOfRangeError as error:
        if "File too large" not in error.message:
            raise
        raise errors.TrainingError(
            f"{config.model_dir}: a checkpoint is larger than a file may be here ({error.message}). Raise the "
            "limit (ulimit -f); the same command goes on from the last checkpoint."
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        # The message opens with where in the graph the op was added.
        reason = _SHORTAGE.search(error.message)
        raise errors.TrainingError(
            f"{config.model_dir}: the disk or the memory is full ({reason.group() if reason else error.message}). "
            "Make room; the same command goes on from the last checkpoint."
        ) from error
