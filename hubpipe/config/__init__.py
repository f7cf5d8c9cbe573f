"""YAML files to frozen objects; imports no TensorFlow."""
