"""Data files to (features, labels)."""
