"""Who may read, who may write, and the keys to both."""
