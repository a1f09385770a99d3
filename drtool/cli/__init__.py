"""The command line: one command per file, which parses, calls one operation, and renders what it returns."""
