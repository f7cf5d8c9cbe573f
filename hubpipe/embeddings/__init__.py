"""Files of word embeddings -> (tokens, vectors), a batch at a time; the reading of them imports no TensorFlow."""
