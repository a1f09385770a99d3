"""What drtool does: one file per verb, callable from the command line, a playbook or a program."""
