"""How much of a snapshot is proven: its levels, and what they read for it."""
