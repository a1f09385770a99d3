"""Starting what is due, and seeing it to its end."""
