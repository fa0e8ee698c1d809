"""The dialogue with the model, and what to do when it dies, hangs, is too slow or plays badly."""
