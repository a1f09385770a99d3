"""What goes with a run: record, lock, hooks, pings, and what follows its end."""
