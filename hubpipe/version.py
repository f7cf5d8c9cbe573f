"""The version of hubpipe."""

__version__ = "0.1.0"
