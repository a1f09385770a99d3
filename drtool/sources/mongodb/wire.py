"""The way to the server: what is compressed on it, and what its TLS may want when there is no answer."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import sys
from urllib.parse import unquote

from drtool.sources.mongodb import uri as uris

_CLOSED = ("connection closed", "Connection reset by peer", "EOF occurred", " alert ")


def compressor(uri: str) -> str | None:
    """What to ask a server on another host for, where the URI does not say; None for nothing."""
    if "compressors" in uris.options(uri) or not _has_zstd() or all(map(_is_here, _hosts(uri))):
        return None
    return "zstd"


def _hosts(uri: str) -> list[str]:
    """Host names and addresses of a connection string, without ports."""
    hosts = []
    for host in uris.parts(uri)[2].split(","):
        inner, bracket, _ = host.partition("]")
        hosts.append(inner.removeprefix("[") if bracket else host.partition(":")[0])
    return hosts


def _is_here(host: str) -> bool:
    """Is it this host: loopback, a Unix domain socket, or its own name?"""
    if unquote(host).startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in {"localhost", socket.gethostname().lower()}


def _has_zstd() -> bool:
    """Can pymongo? It takes the standard library's zstd, or its backport (not the package `zstandard`)."""
    if sys.version_info >= (3, 14):
        return True
    try:
        return importlib.util.find_spec("backports.zstd") is not None
    except ModuleNotFoundError:
        return False


def hint(problem: str, uri: str) -> str:
    """What to do where the server does not answer, by what was said of it."""
    options = uris.options(uri)
    if "certificate verify failed" in problem or "CERTIFICATE_VERIFY_FAILED" in problem:
        return (
            "The server's certificate is not signed by an authority that this host trusts, or is not for this host "
            "name: set tlsCAFile in the URI to the authority's certificate, and use a name that the certificate has."
        )
    if any(words in problem for words in _CLOSED):
        if not _wants_tls(uri):
            return (
                "The server may accept TLS only: add tls=true to the URI (and tlsCAFile for an authority of its own)."
            )
        if "tlscertificatekeyfile" not in options:
            return "The server may want a client certificate: add tlsCertificateKeyFile to the URI."
        return "The server may not accept the client certificate (tlsCertificateKeyFile): its log says why."
    if "replicaset" in options and "replica set" in problem.lower():
        return "Is replicaSet in the URI the set's own name (rs.conf()._id), and does one of these hosts belong to it?"
    return "Is the server running, and can this host reach it (host, port, firewall, TLS)?"


def _wants_tls(uri: str) -> bool:
    options = uris.options(uri)
    named = options.get("tls", options.get("ssl"))
    return uri.startswith("mongodb+srv://") if named is None else named.lower() == "true"
