"""What is done when the model dies, hangs, is too slow or plays badly."""
