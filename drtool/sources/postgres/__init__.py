"""``type: postgres``: a PostgreSQL server, its databases row by row and their definitions by its own pg_dump."""

from drtool.sources.postgres.source import PostgresSource

__all__ = ["PostgresSource"]
