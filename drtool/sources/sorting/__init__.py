"""Putting in order what comes in none, in little memory: runs are sorted, put away in a file, and merged when they are
read (Knuth, The Art of Computer Programming, 5.4.1)."""
