"""Versions of modules on disk; imports no TensorFlow."""
