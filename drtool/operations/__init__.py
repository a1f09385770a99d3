"""What drtool does: one file or one room per verb, callable from the command line, a playbook or a program."""
