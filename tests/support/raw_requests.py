"""Raw requests that no client of good will sends, drawn from a seed."""

import gzip
import io
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["RawRequest", "raw_requests"]

_GETS = (
    "/recommend/ann", "/recommendToMany/ann/bob", "/recommendToAnonymous/a=2/b", "/recommendWithContext/ann/c",
    "/similarity/a/b", "/similarityToItem/a/b", "/estimate/ann/a", "/estimateForAnonymous/a/b=1", "/because/ann/a",
    "/mostSurprising/ann", "/knownItems/ann", "/mostPopularItems", "/mostActiveUsers", "/popularRepresentativeItems",
    "/item/allIDs", "/user/allIDs", "/ready", "/healthz", "/metrics", "/openapi.json", "/", "/docs", "/nothing",
)  # fmt: skip
_POSTS = ("/pref/u/i", "/ingest", "/recommend")
_METHODS = ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "NONSENSE")
_NASTY = (
    "%", "%2", "%zz", "%00", "%0d%0a", "%ff%fe", "%c0%af", "%ed%a0%80", "..", "%2e%2e", "a=NaN", "a=1e999", "=",
    "%F0%9F%92%A9", "a" * 1100, "%25" * 400, "", ";", "\x7f", "#", "?", "@", "\\",
)  # fmt: skip
_QUERIES = (
    "howMany=-1", "howMany=1e9", "howMany=%00", "howMany=" + "9" * 300, "offset=x", "after=::", "after=99:1",
    "after=0:" + "9" * 40, "considerKnownItems=maybe", "recall=none", "rescorerParams=" + "x" * 3000, "&&&==", "a=%ff",
    "howMany=1&howMany=2", "a=" * 2000,
)  # fmt: skip
_TYPES = (
    "text/csv", "application/json", "application/x-ndjson", "multipart/form-data; boundary=x", "multipart/form-data",
    "multipart/form-data; boundary=" + "b" * 300, "application/octet-stream", "text/csv; charset=utf-16", "nonsense",
    "", "application/json; charset=\x00",
)  # fmt: skip


class RawRequest(NamedTuple):
    """Bytes for one connection, and what kind of mischief they are."""

    kind: str
    data: bytes


def raw_requests(seed: int) -> Iterator[RawRequest]:
    """Draw requests for ever."""
    rng = random.Random(seed)
    while True:
        make = rng.choice(_KINDS)
        yield RawRequest(make.__name__.strip("_"), make(rng))


def _request(method: str, target: str | bytes, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    raw = target if isinstance(target, bytes) else target.encode("latin-1", "replace")
    all_headers = {"Host": "x", "Connection": "close", **(headers or {})}
    if body and "Content-Length" not in all_headers and "Transfer-Encoding" not in all_headers:
        all_headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return method.encode() + b" " + raw + b" HTTP/1.1\r\n" + lines.encode("latin-1", "replace") + b"\r\n" + body


def _ingest(body: bytes, content_type: str = "text/csv", **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _request("POST", "/ingest", {"Content-Type": content_type, **named}, body)


def _path(rng: random.Random) -> bytes:
    segments = [rng.choice(_NASTY) if rng.random() < 0.5 else rng.choice("abz") for _ in range(rng.randint(1, 4))]
    target = rng.choice(_GETS[:14]).rsplit("/", 1)[0] + "/" + "/".join(segments)
    if rng.random() < 0.5:
        target += "?" + "&".join(rng.choices(_QUERIES, k=rng.randint(1, 3)))
    return _request(rng.choice(("GET", "HEAD", "GET", "GET")), target.replace(" ", "%20") or "/")


def _method(rng: random.Random) -> bytes:
    return _request(rng.choice(_METHODS), rng.choice(_GETS + _POSTS))


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(1, 400))


def _truncated(rng: random.Random) -> bytes:
    whole = _ingest(b"u,i,1\nu,j,2\n") if rng.random() < 0.5 else _request("GET", rng.choice(_GETS))
    return whole[: rng.randint(1, len(whole) - 1)]


def _flipped(rng: random.Random) -> bytes:
    data = bytearray(_request("GET", rng.choice(_GETS)))
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _oversized(rng: random.Random) -> bytes:
    return rng.choice(
        (
            _request("GET", "/recommend/" + "a" * 20_000),
            _request("GET", "/similarity" + "/a" * 5000),
            _request("GET", "/healthz", {"X": "x" * 40_000}),
            _request("GET", "/healthz", {f"X{number}": "x" for number in range(300)}),
            _request("GET", "/healthz", {f"X{number}": "x" * 1000 for number in range(90)}),
            _request("GET", "/healthz", {"X-Request-Id": "i" * 9000, "Accept": "a/b;q=0.1," * 900}),
            _request("POST", "/ingest", {"Content-Length": "99999999999999999999999"}, b"u,i\n"),
            _request(
                "POST", "/ingest", {"Content-Length": str(2**40), "Content-Type": "text/csv"}, b"bad line,,,,,,\n"
            ),
        )
    )


def _smuggled(rng: random.Random) -> bytes:
    inner = b"POST /pref/smuggled/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"
    head = b"POST /ingest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return head + rng.choice(
        (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner,
            b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n" + inner,
            b"Content-Length: +5\r\n\r\n" + inner,
            b"Content-Length: 0x5\r\n\r\n" + inner,
            b"Transfer-Encoding: xchunked\r\n\r\n" + inner,
            b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
            b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
            b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + inner,
            b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
            b" Content-Length: 5\r\n\r\n" + inner,
            b"Content-Length:\r\n\r\n" + inner,
        )
    )


def _chunked(rng: random.Random) -> bytes:
    body = rng.choice(
        (
            b"zz\r\nu,i\r\n0\r\n\r\n", b"-1\r\nu\r\n0\r\n\r\n", b"5\r\nu,i", b"ffffffffffffffffff\r\nu",
            b"3\r\nu,iXX0\r\n\r\n",
            b"3;" + b"e" * 20_000 + b"\r\nu,i\r\n0\r\n\r\n",
            b"0\r\nA: b\r\nbad trailer\r\n\r\n",
            b"3\nu,i\n0\n\n",
            b"\r\n\r\n",
        )
    )  # fmt: skip
    return _ingest(b"", Transfer_Encoding="chunked") + body


def _encoded(rng: random.Random) -> bytes:
    bad = b"," * 10
    encoding, body = rng.choice(
        (
            ("gzip", rng.randbytes(100)),
            ("gzip", gzip.compress(bad)[:-5]),
            ("gzip", gzip.compress(bad) + b"tail"),
            ("deflate", rng.randbytes(100)),
            ("deflate", zlib.compress(bad)[:-2]),
            ("br", b"u,i\n"),
            ("gzip, gzip", gzip.compress(gzip.compress(bad))),
            ("nonsense", b"u,i\n"),
            ("gzip", b""),
        )
    )
    return _ingest(body, Content_Encoding=encoding)


def _bomb(rng: random.Random) -> bytes:
    return rng.choice(_BOMBS)


def _lines(rng: random.Random) -> bytes:
    bad = rng.choice(
        (
            b"\xff\xfe,i\n", b"u\n", b'"u,i\n', b"u,i,NaN\n", b"u,i,1e999\n", b"u,i,1,x\n", b"\x00,i\n", b",,,,,,,\n",
            b"u" * 2000 + b",i\n", b"u,i,1,1,k,more\n", b"u,i," + b"9" * 5000 + b"\n",
        )
    )  # fmt: skip
    return _ingest(b"u,i,1\n" * rng.randint(0, 20) + bad, rng.choice(_TYPES[:1]))


def _json(rng: random.Random) -> bytes:
    body = rng.choice(
        (
            b"[" * 100_000, b'{"a":' * 50_000, b"[1,2", b"null", b'"x"', b"[[]]", b'[{"user":1,"item":2}]', b"[{}]",
            b"{}",
            b'[{"user":"u","item":"i","strength":1e999}]',
            b'[{"user":"\\ud800","item":"i"}]', b"\xef\xbb\xbf[]x",
            b'[{"user":"u","item":"i","x":1}]', b'[{"user":"u","user":"v"}]', b"\xff", b"-", b"9" * 5000,
        )
    )  # fmt: skip
    path = rng.choice(("/ingest", "/recommend"))
    return _request("POST", path, {"Content-Type": rng.choice(_TYPES[1:3])}, body)


def _multipart(rng: random.Random) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="f"\r\nContent-Type: %s\r\n\r\n%s\r\n'
    nested = b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 2000
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../../etc/passwd", ",,,")
    body = rng.choice(
        (
            nested + b"--x--\r\n",
            part % (b"application/gzip", rng.randbytes(50)) + b"--x--\r\n",
            part % (b"application/zip", rng.randbytes(50)) + b"--x--\r\n",
            part % (b"application/zip", archive.getvalue()) + b"--x--\r\n",
            part % (b"application/zip", archive.getvalue()[:-10]) + b"--x--\r\n",
            part % (b"text/csv", b"u\n"),
            b"--x" + b"-" * 10_000,
            b"--x\r\n" + b"H: h\r\n" * 5000 + b"\r\nu\r\n--x--\r\n",
            b"--x\r\nContent-Disposition: " + b";" * 20_000 + b"\r\n\r\nu\r\n--x--\r\n",
            b"",
        )
    )
    return _ingest(body, "multipart/form-data; boundary=x")


def _strange(rng: random.Random) -> bytes:
    return rng.choice(
        (
            b"GET /healthz\r\n\r\n",
            b"GET /healthz HTTP/0.9\r\n\r\n",
            b"GET /healthz HTTP/1.2\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
            b"GET http://evil.example/recommend/ann HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET //evil.example//recommend/ann HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET http://[::1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET http://a:99999999/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"CONNECT a:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nConnection: close\r\n\r\n",
            b"GET /heal\x00thz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: \x00\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\xff\xfe\r\nConnection: close\r\n\r\n",
            b"GET /recommend/ann HTTP/1.1\r\nHost: x\r\nAccept: \xff;q=x\r\nConnection: close\r\n\r\n",
            b"GET /docs HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=nan, br;q=-1\r\nConnection: close\r\n\r\n",
            b"GET /recommend/ann HTTP/1.1\r\nHost: x\r\nCookie: " + b"a=b;" * 3000 + b"\r\nConnection: close\r\n\r\n",
            b"GET /recommend/ann HTTP/1.1\r\nHost: x\r\nRange: bytes=9-1\r\nIf-Match: *\r\nConnection: close\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\nConnection: close\r\n\r\n",
            b"\r\n" * 1000 + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
    )


def _typed(rng: random.Random) -> bytes:
    kind = rng.choice([name for name in _TYPES if not name.startswith("text/csv")])
    return _ingest(b"\x00" + rng.randbytes(30), kind)


def _bombs() -> tuple[bytes, ...]:
    zeros = bytes(8_000_000)
    packed = gzip.compress(zeros, 9)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a.csv", zeros)
    part = b'--x\r\nContent-Disposition: form-data; name="f"\r\nContent-Type: application/%s\r\n\r\n%s\r\n--x--\r\n'
    mixed = "multipart/form-data; boundary=x"
    return (
        _ingest(packed, Content_Encoding="gzip"),
        _request("POST", "/pref/u/i", {"Content-Encoding": "gzip"}, packed),
        _ingest(part % (b"gzip", packed), mixed),
        _ingest(part % (b"zip", archive.getvalue()), mixed),
    )


_BOMBS = _bombs()
_KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    *(_path, _method, _noise, _truncated, _flipped, _oversized, _smuggled, _chunked, _encoded, _lines, _json),
    *(_multipart, _bomb, _strange, _typed, _path, _strange, _smuggled, _truncated),
)
