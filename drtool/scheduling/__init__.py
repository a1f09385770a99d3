"""When what is done repeatedly is due, what became of each run, and how the host is told to call drtool."""
