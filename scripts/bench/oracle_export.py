"""One export with tensorflow_hub 0.15's LatestModuleExporter: python oracle_export.py MODEL_DIR MEGABYTES."""

import sys

import tensorflow as tf
import tensorflow_hub

import export_workload as workload

if __name__ == "__main__":
    workload.measure(
        tensorflow_hub.LatestModuleExporter("bench", workload.create_serving_input_fn(tf.estimator)),
        workload.create_estimator(tensorflow_hub, tf.estimator, sys.argv[1], int(sys.argv[2])),
    )
