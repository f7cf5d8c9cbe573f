"""Exporters for tf.estimator: which checkpoint becomes a module, and where it goes."""

from hubpipe.exporters.best import BestModuleExporter
from hubpipe.exporters.latest import LatestModuleExporter

__all__ = ["BestModuleExporter", "LatestModuleExporter"]
