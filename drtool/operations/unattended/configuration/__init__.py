"""A configuration that ``schedule run`` cannot use: telling those whom the last good one names."""
