"""drtool: backup and disaster recovery for MongoDB, vector stores and their companions."""

__version__ = "0.1.0"
