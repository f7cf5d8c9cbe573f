"""Staging and renaming, safe paths, digests, tensor bundles; imports no TensorFlow."""
