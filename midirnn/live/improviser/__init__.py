"""What runs inside the model process: plans, and the token stream that both players share."""
