"""What goes with a run that nobody watches: record, hooks, pings, alerts, metrics, status."""
