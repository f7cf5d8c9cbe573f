"""The only folder that knows TensorFlow versions differ."""
