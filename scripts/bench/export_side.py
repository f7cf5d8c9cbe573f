"""One export with hubpipe's LatestModuleExporter: python export_side.py MODEL_DIR MEGABYTES."""

import sys

import export_workload as workload
from hubpipe import estimator, exporters, hub

if __name__ == "__main__":
    workload.measure(
        exporters.LatestModuleExporter("bench", workload.create_serving_input_fn(estimator)),
        workload.create_estimator(hub, estimator, sys.argv[1], int(sys.argv[2])),
    )
