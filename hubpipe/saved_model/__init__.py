"""The TF2 twin of a module: a Reusable SavedModel, the proof that both are the same, and the converter."""

from hubpipe.saved_model.keras import export_keras

__all__ = ["export_keras"]
