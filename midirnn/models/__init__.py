"""Models: what they are made of, their weights on the disk, and (with torch) how they learn."""
