"""From conditions to messages: which alerts are open, who was told, who is to be told next."""
