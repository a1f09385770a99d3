"""The oplog: its entries, what they did, and doing it again elsewhere."""
