"""Redis as a source, against real servers."""
