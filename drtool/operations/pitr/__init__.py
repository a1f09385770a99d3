"""Point in time: archiving a source's log, and going back to any moment that it covers."""
