"""Reading the streams of a view into the repository: by threads of this process, and by processes beside it."""
