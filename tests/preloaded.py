"""Imports what commands need that train and verify, before the processes of tests.forks are forked."""

import importlib

importlib.import_module("hubpipe.compat.quiet").import_tensorflow()
for _name in ("compat.estimator", "retrain", "retraining.job", "train", "training.cluster.run", "verify"):
    importlib.import_module(f"hubpipe.{_name}")
