"""Models: their configs, their checkpoints on disk and, with torch, the networks themselves."""
