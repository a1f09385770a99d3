"""Where notifications go: a module for each kind of target, which knows its protocol and its published limits."""
