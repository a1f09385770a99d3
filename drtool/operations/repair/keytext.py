"""Record keys as people write them."""

from __future__ import annotations


def key_text(source_type: str, key: bytes) -> str:
    """A record key as its system shows it (of MongoDB the ``_id``: docs/format.md, "MongoDB"); else in hex."""
    if source_type == "mongodb" and key:
        import bson
        from bson.errors import InvalidBSON

        document = key[:1] + b"\0" + key[1:] + b"\0"
        try:
            return repr(bson.decode((len(document) + 4).to_bytes(4, "little") + document)[""])
        except InvalidBSON:
            return key.hex()
    return key.hex()
