#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that a web server has to live with: bad_clients.py KIND ADDRESS PORT COUNT PATH

  drip    COUNT connections send the head of a request byte by byte, and never come to its end
  body    the same with the body
  idle    each has one request answered, and then asks for nothing more
  deaf    each asks for PATH and takes nothing of it
  reset   each asks for PATH and resets the connection at once
  rush    one connection, COUNT requests at once; then all answers are taken

Says "ready" when all of them are at it; ends when the server has ended all connections (drip, body, idle,
deaf), and says how many, and how many were told why (408)."""
import re
import selectors
import socket
import struct
import sys
import time

kind, address, port, count, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
PERIOD = 0.2  # seconds between two bytes of who sends in drips
PATIENCE = 60

BEGINNINGS = {
    "drip": "GET {path} HTTP/1.1\r\nHost: a\r\nX-Long: ",
    "body": "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    "idle": "HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n",
    "deaf": "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n",
    "reset": "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n",
}


def connect():
    """A connection that waits for nothing: the server may let it wait to be accepted."""
    end = socket.socket()
    if kind == "deaf":
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    end.settimeout(PATIENCE)
    end.connect((address, port))
    end.sendall(BEGINNINGS[kind].format(path=path).encode())
    return end


def reset_all():
    for _ in range(count):
        end = connect()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


def rush():
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    last = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    end = socket.create_connection((address, port), PATIENCE)
    wanted, got = request * (count - 1) + last, b""
    end.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(end, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while True:
            events = selector.select(PATIENCE)
            if not events:
                sys.exit("nothing happens any more")
            if events[0][1] & selectors.EVENT_READ:
                piece = end.recv(1 << 20)
                got += piece
                if not piece:
                    break
            if wanted and events[0][1] & selectors.EVENT_WRITE:
                wanted = wanted[end.send(wanted):]
                if not wanted:
                    selector.modify(end, selectors.EVENT_READ)
    print("answers:", len(re.findall(rb"HTTP/1\.1 200 OK\r\n", got)))


def is_gone(end, told):
    """Whether the server has ended it. What it says before is looked at for a 408."""
    try:
        while True:
            piece = end.recv(65536)
            if b" 408 " in piece:
                told.add(end)
            if not piece:
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def hears_of_the_end(end):
    """The same for who reads nothing: the kernel knows of a reset."""
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def stay():
    ends = {connect() for _ in range(count)}
    told = set()
    print("ready", flush=True)
    for end in ends:
        end.setblocking(False)
    until = time.monotonic() + PATIENCE
    while ends and time.monotonic() < until:
        for end in list(ends):
            try:
                if kind in ("drip", "body"):
                    end.send(b"x")
            except BlockingIOError:
                pass
            except OSError:
                ends.discard(end)
                continue
            if hears_of_the_end(end) if kind == "deaf" else is_gone(end, told):
                ends.discard(end)
                end.close()
        time.sleep(PERIOD)
    print("ended:", count - len(ends), "told:", len(told))


if kind == "reset":
    reset_all()
elif kind == "rush":
    rush()
else:
    stay()
