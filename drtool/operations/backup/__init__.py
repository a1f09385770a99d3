"""Taking a snapshot: reading a job's sources in rounds, and committing what was read."""
