"""What all vector stores share: the records that a collection is kept as, and how two copies are compared."""
