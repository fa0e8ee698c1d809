"""Training: the recipe, the loop, evaluation."""
