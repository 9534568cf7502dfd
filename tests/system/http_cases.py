#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Requests right, odd and wrong, each on a connection of its own: http_cases.py ADDRESS PORT

Tells those whose answers differ from what stands here, and how many there were. Whoever asks has closed his
half of the connection behind the request, so that the end of all answers is the end of the connection. The
files are those of test_http_cases.sh."""
import concurrent.futures
import re
import socket
import sys

address, port = sys.argv[1], int(sys.argv[2])
PATIENCE = 60


def talk(data):
    """All that comes until the server closes."""
    end = socket.create_connection((address, port), PATIENCE)
    got = b""
    try:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)
        while piece := end.recv(1 << 16):
            got += piece
    except OSError as error:
        return got, type(error).__name__
    finally:
        end.close()
    return got, ""


def answers(data):
    """The answers in a word each: status, bytes that should have come but did not, Content-Range."""
    got, error = talk(data)
    words, bodiless = [], data.startswith(b"HEAD")
    while got:
        head = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n", got)
        if not head:
            words.append("nonsense")
            break
        fields = dict(line.lower().split(b": ", 1) for line in head[2].split(b"\r\n") if line)
        size = 0 if bodiless or head[1] == b"304" else int(fields.get(b"content-length", 0))
        word = head[1].decode()
        if b"date" not in fields or (head[1] == b"405") != (b"allow" in fields):
            word += "(fields)"
        word += "".join("=" + fields[name].decode() for name in (b"content-range", b"location") if name in fields)
        if fields.get(b"content-encoding") == b"gzip":
            word += "=gzip"
        if len(got) - head.end() < size:
            word += "(short)"
        words.append(word)
        got = got[head.end() + size:]
    return " ".join(words + ([error] if error else []))


def get(target, *fields, method="GET", version="1.1"):
    lines = [f"{method} {target} HTTP/{version}", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


tag = re.search(rb"ETag: ([^\r\n]*)", talk(get("/1k"))[0])[1].decode()
modified = re.search(rb"Last-Modified: ([^\r\n]*)", talk(get("/1k"))[0])[1].decode()
CHUNKED = "Transfer-Encoding: chunked"
HOST = b"GET /1k HTTP/1.1\r\nHost: a\r\n"
K1 = get("/1k")

cases = {
    "": [b"", b"GET /1k HTTP/1.1\r\nHo", b"GET /1k"],
    "200": [
        K1, b"\r\n" + K1, get("/1k", version="1.2"), b"GET /1k HTTP/1.0\r\n\r\n", get("/%31%6b"), get("/./1k"), get("//1k"),
        get("/1k?a=/../b"), get("http://other/1k"), get("http://other:81"), get("HTTP://other?x"), get("/sub/."), get("/a%20b"),
        get("/sub/..."), get("/within"), get("/folder/page"), get("/1k", "X:"), get("/1k", "X: \xff"),
        get("/1k", *(f"X{i}: y" for i in range(99))), get("/1k", "X: " + "y" * 8000), get("/1k", "Expect: 100-continue"),
        get("/1k", method="HEAD"), get("/1k", "Connection: x,close") + K1, get("/1k", "Content-Length: 9") + b"123",
        get("/1k", "Range: bytes=0-1", method="HEAD"), get("/1k", "Accept-Encoding: gzip"),
        *(get("/1k", "Range: " + value) for value in (
            "bytes=-2000", "bytes=5-3", "bytes=a-b", "bytes=", "bytes=-", "bytes", "bits=0-1", "bytes=0-1,3-4", "bytes=0 -1",
            "bytes=+0-1", "bytes=0--1", "bytes=0-1-2", "bytes=" + "0-," * 1000 + "0-")),
        *(get("/1k", "Range: bytes=0-1", "If-Range: " + value) for value in ('"x"', "W/" + tag, modified)),
        *(get("/1k", field) for field in (
            "If-None-Match: x", 'If-None-Match: "x', "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
            "If-Modified-Since: yesterday", "If-Match: *", "If-Match: " + tag, "If-Unmodified-Since: x",
            "If-Unmodified-Since: " + modified)),
        get("/1k", 'If-None-Match: "x"', "If-Modified-Since: " + modified),
        *(get("/text", "Accept-Encoding: " + value) for value in (
            "gzip;q=0", "gzip ; q=0.000", "*;q=0", "identity", "deflate,gzip;q=0", "gzip;q=0,*", "gzipx", "")),
    ],
    "200=gzip": [get("/text", "Accept-Encoding: " + value) for value in (
        "gzip", "GZIP", "x-gzip", "gzip;q=0.001", "*", "deflate, gzip", "*;q=0,gzip")],
    "200 200": [
        K1 + K1, b"GET /1k HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + K1, get("/1k", "Content-Length: 3") + b"abc" + K1,
        get("/1k", CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n" + K1, get("/1k", CHUNKED) + b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n" + K1],
    "200 400": [K1 + b"garbage\r\n\r\n" + K1],
    "200 404 200": [K1 + get("/none") + K1],
    # What is wrong behind a head ends the connection; the answer has gone.
    **{"200 ": [get("/1k", CHUNKED) + body + K1 for body in (
        b"zz\r\nabc\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"3\nabc\n0\n\n", b"3\r\nabcd\r\n0\r\n\r\n", b"-1\r\n", b"0x3\r\nabc\r\n")]},
    "301=/sub/": [get("/sub"), get("//sub"), get("/sub", "Range: bytes=0-1"), get("/sub", method="HEAD")],
    "301=/sub/?x=1": [get("/sub?x=1")],
    "206=bytes 0-1/1024": [get("/1k", "Range: " + value) for value in ("bytes=0-1", "Bytes=0-1", "bytes=0-1\t")]
    + [get("/1k", "Range: bytes=0-1", "If-Range: " + tag)],
    "206=bytes 1023-1023/1024": [get("/1k", "Range: bytes=" + value) for value in ("-1", "1023-", "1023-99999999999999999999")],
    "304": [get("/1k", field) for field in (
        "If-None-Match: " + tag, "If-None-Match: W/" + tag, 'If-None-Match: "a", ' + tag, 'If-None-Match: "a,b",W/' + tag,
        "If-None-Match: *", "If-Modified-Since: " + modified, "If-Modified-Since: Sun Nov  6 08:49:37 2098")]
    + [get("/1k", "If-None-Match: " + tag, "Range: bytes=5000-")],
    "400": [
        b"\r\n\r\n" + K1, b"GET / HTTP/1.1\nHost: a\n\n", b"GET /\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1 \r\n\r\n",
        b"GET\t/ HTTP/1.1\r\n\r\n", b"GET / http/1.1\r\n\r\n", b"GET / HTTP/1.11\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"G\0T / HTTP/1.1\r\n\r\n", b"GET /\0 HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\r\n\r\n",
        *(get(target) for target in (
            "/\\x", '/"', "/1k#x", "/{}", "/%", "/%4", "/%zz", "/%00", "/../secret", "/sub/../1k", "/%2e%2e/secret", "/.%2E/x",
            "/sub/..", "https://other/1k", "other:80", "*")),
        b"GET / HTTP/1.1\r\n\r\n", HOST + b"Host: b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        *(get("/1k", field) for field in (
            "X: a\r\n b", "X", "X : y", ": y", "X: a\0b", "X: a\rb", "X: a\nY: b", "X: \x01", "X: \x7f", "X(): y",
            "Content-Length: 3\r\n" + CHUNKED, CHUNKED + "\r\nContent-Length: 3", "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3", "Content-Length: -1", "Content-Length: +1", "Content-Length: 0x1", "Content-Length:",
            "Content-Length: 18446744073709551617", CHUNKED + "\r\n" + CHUNKED, "Transfer-Encoding: \x0bchunked")),
        get("/1k", CHUNKED, version="1.0"),
    ],
    "403": [get(path) for path in ("/fifo", "/socket", "/out", "/loop", "/unreadable")],
    "404": [get(path) for path in ("/none", "/1k/", "/sub%2fpage", "/none/", "/" + "a" * 300)] + [get("/none", method="HEAD")],
    "405": [get("/1k", method=method) for method in ("OPTIONS", "TRACE", "PUT", "DELETE")]
    + [get("*", method="OPTIONS"), get("/1k", "Content-Length: 3", method="POST") + b"abc",
       get("/1k", "Expect: 100-continue", "Content-Length: 3", method="POST")],
    "412": [get("/1k", field) for field in (
        'If-Match: "x"', "If-Match: W/" + tag, "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT")],
    "413": [get("/1k", "Content-Length: 1048577"), get("/1k", "Content-Length: 9223372036854775")],
    "414": [b"A" * 9000, get("/" + "a" * 8100), get("/" + "a" * 3000), get("/a" * 2000)],
    "416=bytes */1024": [get("/1k", "Range: bytes=" + value) for value in ("1024-", "-0", "99999999999999999999999-")],
    "417": [get("/1k", "Expect: x")],
    "431": [get("/1k", *(f"X{i}: y" for i in range(120))), get("/1k", "X: " + "y" * 65000)],
    "501": [get("/1k", method=method) for method in ("BREW", "get")] + [get("/1k", "Transfer-Encoding: " + value) for value in (
        "identity", "gzip, chunked", "chunked, chunked")],
    "505": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n"],
}
flat = [(wanted.strip(), request) for wanted, requests in cases.items() for request in requests]
wrong = 0
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for (wanted, request), told in zip(flat, pool.map(answers, [request for _, request in flat])):
        if told != wanted:
            wrong += 1
            print(f"{request[:100]!r}: {told or 'nothing'}, not {wanted or 'nothing'}")
print(f"{len(flat)} requests, {wrong} answered otherwise")
sys.exit(wrong != 0)
