"""The demonstration: an embedded server and a local repository, from the first backup to a proven restore."""
