#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""control_garbage.py KIND PATH: says to the control socket what no honest client says.

Each kind checks the answer: a connection that breaks the protocol is closed, and nothing else
happens. Exit status 1 and a line of why when the switch does otherwise.
"""
import array
import os
import random
import socket
import struct
import sys

MAGIC, VERSION = 0x4B54534D, 1
HELLO, WELCOME, PORT_OPEN, PORT_OPENED, BIND, BOUND, UNBIND, UNBOUND, QUERY = range(1, 10)
random.seed(1)
path = sys.argv[2]


def connect():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(5)
    client.connect(path)
    return client


def message(kind, body, size=None, request=1):
    return struct.pack("=IIIi", kind, 16 + len(body) if size is None else size, request, 0) + body


def hello(version=VERSION, magic=MAGIC):
    return message(HELLO, struct.pack("=IIQ", magic, version, 0))


def port_open(name=b"garbage", rings=1, rx=0, tx=0):
    return message(PORT_OPEN, struct.pack("=32sIIII", name, rings, rx, tx, 0))


def bind(port=8088, count=1):
    address = struct.pack("=16sHBB", bytes(16), socket.htons(port), 4, 6)
    return message(BIND, address + struct.pack("=IIII", 0, count, 0, 0))


def greeted():
    client = connect()
    client.send(hello())
    answer = client.recv(8192)
    kind, _, _, error = struct.unpack_from("=IIIi", answer)
    if kind != WELCOME or error:
        sys.exit(f"no welcome: type {kind}, error {error}")
    return client


def closes(client, what):
    """The switch closes the connection, perhaps after an answer that holds an error."""
    try:
        while client.recv(8192):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        sys.exit(f"{what}: the connection stays open")
    client.close()


def tell(client, data, what):
    try:
        client.send(data)
    except (ConnectionError, BrokenPipeError):
        pass
    closes(client, what)


def noise():
    """Random bytes, as the first message and after the greeting."""
    for _ in range(100):
        data = bytes(random.getrandbits(8) for _ in range(random.randint(1, 400)))
        tell(connect(), data, "noise first")
        tell(greeted(), data, "noise later")
    tell(connect(), bytes(65536), "64 KB of zeros")


def sizes():
    """Messages that are shorter or longer than they must be, or say so."""
    for data in (hello()[:8], hello()[:-1], hello() + b"\0",
                 message(HELLO, struct.pack("=IIQ", MAGIC, VERSION, 0), size=31),
                 message(HELLO, struct.pack("=IIQ", MAGIC, VERSION, 0), size=0xFFFFFFFF)):
        tell(connect(), data, "hello of a wrong size")
    for data in (port_open()[:-1], port_open() + b"\0", bind()[:20]):
        tell(greeted(), data, "request of a wrong size")


def versions():
    """Another magic, other versions."""
    for version in (0, 2, 0xFFFFFFFF):
        tell(connect(), hello(version=version), f"version {version}")
    tell(connect(), hello(magic=0), "magic 0")


def order():
    """Requests before the greeting, twice, or that only the switch may send."""
    for data in (port_open(), bind(), message(QUERY, struct.pack("=IIQ", 1, 0, 0))):
        tell(connect(), data, "a request before hello")
    tell(greeted(), hello(), "hello twice")
    for kind in (0, WELCOME, PORT_OPENED, BOUND, UNBOUND, 10, 11, 12, 0xFFFFFFFF):
        tell(greeted(), message(kind, bytes(16)), f"type {kind}")
    tell(greeted(), bind(), "bind without a port")
    client = greeted()
    client.send(port_open())
    client.recv(8192)
    tell(client, port_open(), "two ports on one connection")


def descriptors():
    """Descriptors where none belong, too many, and of the wrong kind."""
    readers = [os.open("/dev/null", os.O_RDONLY) for _ in range(250)]

    def with_fds(client, data, count, what):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", readers[:count]))]
        try:
            client.sendmsg([data], ancillary)
        except (ConnectionError, BrokenPipeError):
            pass
        closes(client, what)

    for count in (1, 2, 250):
        with_fds(connect(), hello(), count, f"hello with {count} descriptors")
        with_fds(greeted(), port_open(), count, f"open with {count} descriptors")
    for count in (2, 250):
        client = greeted()
        client.send(port_open())
        client.recv(8192)
        with_fds(client, bind(), count, f"bind with {count} descriptors")


def placeholders():
    """Placeholders that reserve nothing, or something else: refused with an error, port stays."""
    def attempt(holder, what, refused=True):
        client = greeted()
        client.send(port_open())
        client.recv(8192)
        fds = [holder.fileno()] if holder else []
        client.sendmsg([bind()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        answer = client.recv(8192)
        if not answer:
            sys.exit(f"{what}: cut off without an answer")
        kind, _, _, error = struct.unpack_from("=IIIi", answer)
        if kind != BOUND or (error != 0) != refused:
            sys.exit(f"{what}: answered by type {kind}, error {error}")
        client.close()
        if holder:
            holder.close()

    attempt(None, "no placeholder where the kernel knows the protocol")
    attempt(open("/dev/null", "rb"), "a file")
    attempt(socket.socket(), "an unbound socket")
    attempt(socket.socket(type=socket.SOCK_DGRAM), "a UDP socket for TCP")
    attempt(socket.socket(socket.AF_INET6), "an IPv6 socket for IPv4")
    other = socket.socket()
    other.bind(("0.0.0.0", 8089))
    other.listen(0)
    attempt(other, "a socket on another port")
    one = socket.socket()
    one.bind(("127.0.0.1", 8088))
    one.listen(0)
    attempt(one, "a socket on another address")
    shared = socket.socket()
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(("0.0.0.0", 8088))
    shared.listen(0)
    attempt(shared, "a socket that lets others bind the same")
    # Last, for the switch keeps it until it sees the end: they were refused for nothing else.
    honest = socket.socket()
    honest.bind(("0.0.0.0", 8088))
    attempt(honest, "an honest placeholder", refused=False)


def limits():
    """Absurd wishes: refused with an error or by closing."""
    for rings, rx, tx in ((0xFFFFFFFF, 0, 0), (1000, 0, 0), (1, 1, 1), (1, 0xFFFFFFFF, 0),
                          (1, 0x80000000, 0x80000000), (16, 0x40000000, 0x40000000)):
        client = greeted()
        client.send(port_open(rings=rings, rx=rx, tx=tx))
        answer = client.recv(8192)
        if answer:
            kind, _, _, error = struct.unpack_from("=IIIi", answer)
            if kind != PORT_OPENED or error == 0:
                sys.exit(f"rings {rings}, rx {rx}, tx {tx}: accepted")
        client.close()
    client = greeted()
    client.send(port_open(name=b"\xff" * 32))  # a name without its NUL
    client.recv(8192)
    client.close()


def crowd():
    """Hundreds of connections that say nothing, and one that asks and never reads."""
    silent = []
    try:
        for _ in range(600):
            silent.append(connect())
    except OSError:
        pass  # a limit is a good answer
    deaf = silent[0] if silent else connect()
    try:
        deaf.send(hello())
        for number in range(20000):
            deaf.send(message(QUERY, struct.pack("=IIQ", 5, 0, 0), request=number))
    except OSError:
        pass  # cut off, or its buffer is full: both are good
    for client in silent:
        client.close()


{f.__name__: f for f in (noise, sizes, versions, order, descriptors, placeholders, limits,
                         crowd)}[sys.argv[1]]()
