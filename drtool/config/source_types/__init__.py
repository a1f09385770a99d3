"""``sources``: the settings of each type of source that drtool brings, a module named like the type for each."""
