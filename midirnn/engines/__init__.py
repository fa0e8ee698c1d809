"""Engines: one step of a trained model, without torch."""
