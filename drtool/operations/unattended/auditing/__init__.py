"""The audit log: entries, their copies in the repository, checks."""
