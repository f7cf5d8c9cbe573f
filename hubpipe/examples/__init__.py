"""Code as users of hubpipe write it; the configs in configs/ name it."""
