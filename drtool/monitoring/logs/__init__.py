"""The log: what drtool did, line by line, in a file that is rotated and in systemd's journal."""
