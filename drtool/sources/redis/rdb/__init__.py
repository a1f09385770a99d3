"""The format of Redis' dump files, as far as a backup needs it: where values begin and end, and what is in them.

The formats are those of Redis 5 to 8.2 (https://github.com/redis/redis, ``src/rdb.h``, ``src/rdb.c``,
``src/listpack.c``, ``src/ziplist.c``, ``src/intset.c``).
"""
