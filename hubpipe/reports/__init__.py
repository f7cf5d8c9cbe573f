"""What people and programs are told about modules and stores; imports no TensorFlow."""
