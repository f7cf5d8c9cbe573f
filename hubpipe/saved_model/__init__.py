"""The TF2 twin of a module: a Reusable SavedModel, the proof that both are the same, and the converter."""
