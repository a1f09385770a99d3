"""Systems that are backed up: one package or file for each."""
