"""qdrant-client: connecting, what its errors mean, and its models."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from drtool.errors import AuthenticationError, DrtoolError, SourceError, UnreachableError
from drtool.sources.extras import require
from drtool.sources.qdrant.addresses import KEY_VARIABLE, Address
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import Point, Sparse
from drtool.sources.vectors.records import UNNAMED

#: Settings that are no part of creating a collection: the embedded engine's own, and those that are only updated.
_NOT_CREATED = ("wal_enabled", "payload_memory", "id_tracker_memory", "read_fan_out_factor", "read_fan_out_delay_ms")
#: How long an answer is waited for (seconds).
_TIMEOUT = 60


def package() -> Any:
    """``qdrant_client``."""
    return require("qdrant_client", "qdrant")


def connect(address: Address) -> Any:
    """A client of a server. Says nothing to it yet."""
    with translated(address.shown, "connecting"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a key goes over http, says probe
        return package().QdrantClient(
            url=address.where,
            port=None,  # as the URL says, or the scheme's own
            api_key=address.api_key,
            prefer_grpc=address.prefer_grpc,
            timeout=_TIMEOUT,
            check_compatibility=False,
        )


def ask(client: Any, url: str, **names: str) -> Any:
    """The result of a GET, as JSON values."""
    answer = client.http.client.request(type_=dict, method="GET", url=url, path_params=names)
    return answer["result"]


@contextlib.contextmanager
def translated(shown: str, doing: str) -> Iterator[None]:
    """The client's errors as drtool's; `shown` is the server's address."""
    http = require("qdrant_client.http.exceptions", "qdrant")
    grpc = require("grpc", "qdrant")
    try:
        yield
    except DrtoolError:
        raise
    except http.UnexpectedResponse as error:
        raise _of_status(shown, doing, error) from error
    except http.ResponseHandlingException as error:
        raise _unanswered(shown, doing, error.source) from error
    except grpc.RpcError as error:
        raise _of_rpc(shown, doing, error, grpc) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(f"{shown}: {doing}: {error}") from error


def create_arguments(definition: Definition) -> dict[str, Any]:
    """What ``create_collection`` takes, of what this version of the client knows."""
    model = package().models.CreateCollection
    config = {name: value for name, value in definition.config.items() if name not in _NOT_CREATED}
    vectors = definition.vectors
    config["vectors"] = vectors[UNNAMED] if list(vectors) == [UNNAMED] else vectors
    try:
        made = model(**config)
    except ValueError as error:
        raise SourceError(
            f"the installed qdrant-client does not know this configuration: {error}",
            hint="Install a newer one: pip install -U qdrant-client",
        ) from error
    renamed = {"vectors": "vectors_config", "sparse_vectors": "sparse_vectors_config"}
    given = {renamed.get(name, name): getattr(made, name) for name in config}
    return {name: value for name, value in given.items() if value is not None}


def point_for_client(point: Point) -> Any:
    """A ``PointStruct``."""
    models = package().models
    vectors = {name: _vector(models, value) for name, value in point.vectors.items()}
    alone = vectors[UNNAMED] if list(vectors) == [UNNAMED] else vectors
    return models.PointStruct(id=point.id, payload=dict(point.payload), vector=alone)


def _vector(models: Any, value: Any) -> Any:
    if isinstance(value, Sparse):
        return models.SparseVector(indices=list(value.indices), values=list(value.values))
    return [list(row) if isinstance(row, tuple | list) else row for row in value]


def _of_status(shown: str, doing: str, error: Any) -> DrtoolError:
    if error.status_code in (401, 403):
        return AuthenticationError(
            f"{shown} does not accept the API key, or it may not do this: {doing}",
            hint=f"Check api_key in the source's settings; for another server, give its key in ${KEY_VARIABLE}.",
        )
    if error.status_code in (502, 503, 504):
        return UnreachableError(f"{shown}: {doing}: it answers {error.status_code}: it cannot just now", hint=_LATER)
    return SourceError(f"{shown}: {doing}: it answers {error.status_code}: {_reason(error)}")


def _reason(error: Any) -> str:
    """The sentence in an error's body, where it has one."""
    try:
        found = error.structured()["status"]["error"]
    except (ValueError, KeyError, TypeError):
        found = error.reason_phrase
    return str(found)


def _unanswered(shown: str, doing: str, cause: BaseException) -> DrtoolError:
    if isinstance(cause, ValueError):  # what the answer should have been says pydantic
        return UnreachableError(
            f"{shown}: {doing}: the answer is not whole, or not one that this qdrant-client understands",
            hint="Check what listens there, and that a proxy between cuts nothing off. For a newer server, install a"
            " newer client: pip install -U qdrant-client",
        )
    return UnreachableError(f"{shown} does not answer ({doing}): {cause or type(cause).__name__}", hint=_LISTENS)


def _of_rpc(shown: str, doing: str, error: Any, grpc: Any) -> DrtoolError:
    code, details = error.code(), error.details()
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return AuthenticationError(f"{shown} does not accept the API key: {doing}: {details}")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return UnreachableError(f"{shown} does not answer over gRPC ({doing}): {details}", hint=_LISTENS)
    return SourceError(f"{shown}: {doing}: {details}")


_LISTENS = "Check that the server runs, that url is right, and that nothing between blocks it."
_LATER = "Run it again later; if it goes on, look at the server's log."
