"""Trains one model with several processes, through TF_CONFIG and TensorFlow's own runtime."""
