"""How people and their systems hear of it: conditions, notifications, pings, metrics, the audit log."""
