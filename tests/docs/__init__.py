"""The documents are true: what they tell a user to type is typed here."""
