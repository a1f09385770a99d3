"""Checks of listings: complete, in order, current, and exactly what the prefix says."""

from __future__ import annotations

from drtool.storage.conformance.model import Check, Room, at_once, expect

#: More than the 1,000 that S3 lists per page.
MANY = 1_010


def _prefixes(room: Room) -> str:
    ends = ["a-b", "a.b", "a/b", "a/b-c", "a/c/d", "a0", "ab", "b/a", "b0/a"]
    for end in ends:
        room.storage.put(room.name(end), end.encode())
    names = [room.name(end) for end in ends]
    for prefix in ("", "a", "a/", "a/b", "a/c/", "a-", "b", "b/", "c", "a/c/d", "a/c/d/"):
        got = [info.name for info in room.storage.list(room.name(prefix))]
        expected = sorted(name for name in names if name.startswith(room.name(prefix)))
        expect(set(got) == set(expected), f"prefix {prefix!r} lists {len(got)} objects for {len(expected)}")
        expect(got == expected, f"prefix {prefix!r} is not in name order")
    return ""


def _details(room: Room) -> str:
    put = room.storage.put(room.name("object"), b"content")
    listed = list(room.storage.list(room.prefix))
    expect(len(listed) == 1, "an object is not listed once")
    expect(listed[0].size == put.size, "a listing shows another size than put")
    expect(listed[0].etag == put.etag, "a listing shows another etag than put")
    return ""


def _pages(room: Room) -> str:
    names = [room.name(f"{number:04}") for number in range(MANY)]
    at_once(lambda name: room.storage.put(name, b""), names)
    got = [info.name for info in room.storage.list(room.prefix)]
    expect(len(got) == MANY, f"{len(got)} of {MANY} objects are listed")
    expect(got == names, f"{MANY} objects are not listed in name order")
    at_once(room.storage.delete, names[1:])
    got = [info.name for info in room.storage.list(room.prefix)]
    expect(got == names[:1], f"{len(got)} objects are listed after all but one were deleted")
    return ""


def _list_after_put(room: Room) -> str:
    def put_and_list(number: int) -> bool:
        name = room.name(f"{number:02}")
        room.storage.put(name, b"content")
        return name in [info.name for info in room.storage.list(room.prefix)]

    unseen = at_once(put_and_list, range(32)).count(False)
    expect(unseen == 0, f"{unseen} of 32 objects were not listed right after they were put")
    return ""


CHECKS = (
    Check("prefixes", "finding snapshots", _prefixes),
    Check("details of a listing", "the level `listed`, which compares sizes", _details),
    Check("pages", "everything beyond the first thousand objects", _pages),
    Check("list after put", "garbage collection beside running backups: data that is in use could go", _list_after_put),
)
