"""The text encoder: strings to feature vectors."""

from hubpipe.models.text.module import create_spec, module_fn, regularizers, vocabularies

__all__ = ["create_spec", "module_fn", "regularizers", "vocabularies"]
