"""Raw BSON as canonical Extended JSON v2, without loss where that can be had.

Documents and arrays are walked here, since decoding one to a dictionary drops fields of the same name; values come
from pymongo, but for the three types that it decodes to something else
(https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md).
"""

from __future__ import annotations

import json

from bson import decode, json_util
from bson.codec_options import CodecOptions, DatetimeConversion

from drtool.errors import ExportError
from drtool.sources.mongodb.connection import Document
from drtool.sources.mongodb.keys import elements, int32, value_length

#: A document whose first field has such a name reads as a value of another type.
RESERVED = frozenset(
    {"$binary", "$code", "$date", "$dbPointer", "$maxKey", "$minKey", "$numberDecimal", "$numberDouble", "$numberInt"}
    | {"$numberLong", "$oid", "$regularExpression", "$scope", "$symbol", "$timestamp", "$undefined", "$uuid"}
)
_CODEC: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
_OPTIONS = json_util.CANONICAL_JSON_OPTIONS.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)


def canonical(raw: bytes, document: int = 0) -> str:
    """The BSON document that begins at `document`, as text.

    Raises ``ExportError`` for one that holds a document which Extended JSON would read as something else
    (``{$date: 5}``, say: legal BSON, and legal in a ``$literal``).
    """
    fields: list[str] = []
    for kind, name, at in elements(raw, document):
        key = name.decode()
        if not fields and key in RESERVED:
            raise ExportError(f"a document that begins with the field {key} cannot be written as Extended JSON")
        fields.append(f"{_text(key)}: {_value(raw, kind, at)}")
    return "{" + ", ".join(fields) + "}"


def _value(raw: bytes, kind: int, at: int) -> str:
    match kind:
        case 0x03:
            return canonical(raw, at)
        case 0x04:
            return "[" + ", ".join(_value(raw, inner, start) for inner, _, start in elements(raw, at)) + "]"
        case 0x06:
            return '{"$undefined": true}'
        case 0x0E:
            return f'{{"$symbol": {_text(_string(raw, at))}}}'
        case 0x0C:
            pointer = {"$ref": _string(raw, at), "$id": {"$oid": raw[at + 4 + int32(raw, at) :][:12].hex()}}
            return f'{{"$dbPointer": {json.dumps(pointer, ensure_ascii=False)}}}'
        case 0x0F:
            scope = at + 8 + int32(raw, at + 4)
            return f'{{"$code": {_text(_string(raw, at + 4))}, "$scope": {canonical(raw, scope)}}}'
    element = bytes((kind,)) + b"v\0" + raw[at : at + value_length(kind, raw, at)]
    whole = (5 + len(element)).to_bytes(4, "little") + element + b"\0"
    return json_util.dumps(decode(whole, _CODEC)["v"], json_options=_OPTIONS, ensure_ascii=False)


def _string(raw: bytes, at: int) -> str:
    return raw[at + 4 : at + 3 + int32(raw, at)].decode()


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
