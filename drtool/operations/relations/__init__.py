"""Relations: whether the streams of a snapshot fit together, judged over its own records."""
