"""The store: keys, chunks, packs, index, manifests and what guards them. Specified in docs/format.md."""
