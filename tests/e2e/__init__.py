"""The promises to users, from the command line to the server and back."""
