"""Code that runs in the model process: the planner, and the token stream both players share."""
