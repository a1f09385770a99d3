"""What is wrong just now, and telling people."""
