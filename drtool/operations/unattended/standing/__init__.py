"""How things stand: the survey of the repository, status and metrics."""
