"""A user's own train_and_evaluate with hubpipe's exporters, as a task of TF_CONFIG: own_cluster.py MODEL_DIR."""

import sys

from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import BestModuleExporter, LatestModuleExporter
from tests.exporters import linear


def main(model_dir):
    """Trains, or serves, or evaluates, as TF_CONFIG says."""
    exporters = [
        BestModuleExporter("best", linear.serving_input_fn, "distance", False),
        LatestModuleExporter("latest", linear.serving_input_fn),
    ]
    tf_estimator.train_and_evaluate(
        linear.create_estimator(model_dir, partitions=2, best_step=linear.STEPS),
        tf_estimator.TrainSpec(linear.input_fn, max_steps=linear.STEPS),
        tf_estimator.EvalSpec(
            linear.input_fn, steps=1, exporters=exporters, start_delay_secs=0, throttle_secs=0
        ),
    )


if __name__ == "__main__":
    main(sys.argv[1])
