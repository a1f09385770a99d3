"""The configuration: one model per concept, where it is found, how it is read, and how secrets are fetched.

Nothing here is imported by ``drtool --help``; the models need pydantic, which takes its time to load.
"""
