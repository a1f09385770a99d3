"""Would a backup and a restore work from here, and is the set-up sound?"""
