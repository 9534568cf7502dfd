#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""garbage.py KIND: sends frames that no honest peer sends to the lab's server, from the client.

Ports: TCP 80 and UDP 7 belong to stacks. KIND is one of the functions below, or `all`. Prints how
many frames were sent.
"""
import os
import random
import socket
import struct
import sys

# scapy looks at every route when it is imported; what it says about that is of no interest.
import logging
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402  pylint: disable=wrong-import-position,no-name-in-module
    Ether, ICMP, IP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, Raw, TCP, UDP, PadN, fragment, get_if_hwaddr)

SERVER4, CLIENT4 = "10.77.0.1", "10.77.0.2"
SERVER6, CLIENT6 = "fd77::1", "fd77::2"
DEVICE = "eth0"
random.seed(int(os.environ.get("GARBAGE_SEED", "1")))

server_mac = sys.argv[2]
ETHERNET = Ether(src=get_if_hwaddr(DEVICE), dst=server_mac)


def syn(**fields):
    return TCP(sport=random.randint(1024, 65535), dport=80, flags="S", seq=1, **fields)


def v4(**fields):
    return ETHERNET / IP(src=CLIENT4, dst=SERVER4, **fields)


def v6(**fields):
    return ETHERNET / IPv6(src=CLIENT6, dst=SERVER6, **fields)


def cut():
    """Frames that end after each byte of their headers."""
    for frame in (v4() / syn(options=[("MSS", 1460), ("WScale", 7)]), v6() / syn(),
                  v4() / UDP(sport=9, dport=7) / b"hello"):
        whole = bytes(frame)
        for length in range(14, len(whole)):
            yield whole[:length]
        # The same, but with an IP total length that tells the truth about the cut.
        for length in range(34, len(whole)):
            short = bytearray(whole[:length])
            if short[12:14] == b"\x08\x00":
                short[16:18] = struct.pack("!H", length - 14)
                short[24:26] = b"\0\0"
                short[24:26] = struct.pack("!H", internet_checksum(short[14:34]))
            elif length >= 54:
                short[18:20] = struct.pack("!H", length - 54)
            yield bytes(short)


def internet_checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def header():
    """IP headers that contradict themselves or the frame."""
    for ihl in range(16):
        yield v4(ihl=ihl) / syn()
    for version in range(16):
        yield v4(version=version) / syn()
        yield v6(version=version) / syn()
    for length in (0, 19, 20, 39, 41, 1500, 65535):
        yield v4(len=length) / syn()
    for length in (0, 19, 21, 1500, 65535):
        yield v6(plen=length) / syn()
    for ttl in (0, 1):
        yield v4(ttl=ttl) / syn()
        yield v6(hlim=ttl) / syn()
    for protocol in range(256):
        yield v4(proto=protocol) / Raw(bytes(40))


def checksum():
    """Wrong checksums: of IP, TCP and UDP; UDP's zero over IPv6."""
    for wrong in (0, 1, 0xFFFF, 0x1234):
        yield v4(chksum=wrong) / syn()
        yield v4() / syn(chksum=wrong)
        yield v6() / syn(chksum=wrong)
        yield v4() / UDP(sport=9, dport=7, chksum=wrong or 1) / b"hello"
    yield v6() / UDP(sport=9, dport=7, chksum=0) / b"hello"


def with_options(octets):
    """A SYN whose IPv4 header carries these octets as options. Built by hand: scapy takes options apart,
    and fails on those that lie."""
    packet = bytes(IP(src=CLIENT4, dst=SERVER4) / syn())
    octets += bytes(-len(octets) % 4)
    header = bytearray(packet[:20] + octets)
    header[0] = 0x40 | len(header) // 4
    header[2:4] = struct.pack("!H", len(packet) + len(octets))
    header[10:12] = b"\0\0"
    header[10:12] = struct.pack("!H", internet_checksum(bytes(header)))
    return bytes(ETHERNET)[:12] + b"\x08\x00" + bytes(header) + packet[20:]


def option():
    """IP options, source routes, and extension headers."""
    for octets in (b"\x83\x07\x04\x0a\x4d\x00\x02\x00", b"\x89\x07\x04\x0a\x4d\x00\x02\x00",
                   b"\x07\x00\x00\x00", b"\x07\xff\x00\x00", b"\x44\x01\x00\x00", b"\x01" * 40):
        yield with_options(octets)
    yield v6() / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / syn()
    yield v6() / IPv6ExtHdrRouting(addresses=[SERVER6] * 3) / syn()
    chain = v6()
    for _ in range(60):
        chain = chain / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
    yield chain / syn()


def fragments():
    """Fragments: whole series, tiny first ones, overlapping and missing ones."""
    yield from (ETHERNET / part for part in fragment(
        IP(src=CLIENT4, dst=SERVER4, id=7) / UDP(sport=9, dport=7) / bytes(4000), fragsize=800))
    yield from (ETHERNET / part for part in fragment(
        IP(src=CLIENT4, dst=SERVER4, id=8) / syn(options=[("MSS", 1460)]), fragsize=8))
    for number in range(200):
        yield v4(id=1000 + number, flags="MF", frag=0) / syn()
        yield v4(id=1000 + number, frag=1) / Raw(bytes(40))
    yield v4(id=9, frag=8191) / Raw(bytes(100))
    for number in range(50):
        yield v6() / IPv6ExtHdrFragment(id=number, m=1, offset=0) / syn()
        yield v6() / IPv6ExtHdrFragment(id=number, m=0, offset=1) / Raw(bytes(40))


def tcp():
    """TCP that contradicts itself: offsets, every set of flags, broken options, odd values."""
    for offset in range(16):
        yield v4() / syn(dataofs=offset)
        yield v6() / syn(dataofs=offset)
    for flags in range(512):
        yield v4() / TCP(sport=5000, dport=80, flags=flags, seq=random.getrandbits(32),
                         ack=random.getrandbits(32)) / b"x"
    for _ in range(300):
        octets = bytes(random.getrandbits(8) for _ in range(4 * random.randint(1, 10)))
        segment = bytearray(bytes(syn()))
        segment[12] = (5 + len(octets) // 4) << 4
        segment[16:18] = b"\0\0"
        pseudo = socket.inet_aton(CLIENT4) + socket.inet_aton(SERVER4) + struct.pack(
            "!HH", 6, len(segment) + len(octets))
        segment[16:18] = struct.pack("!H", internet_checksum(pseudo + bytes(segment) + octets))
        yield v4(proto=6) / Raw(bytes(segment) + octets)
    for mss in (0, 1, 8, 48, 65535):
        yield v4() / syn(options=[("MSS", mss)])
    for scale in (14, 15, 255):
        yield v4() / syn(options=[("WScale", scale)])
    for urgent in (0, 1, 65535):
        yield v4() / TCP(sport=5001, dport=80, flags="AU", urgptr=urgent) / b"u"
    yield v4() / TCP(sport=0, dport=80, flags="S")


def source():
    """Sources that nobody may have, and a packet that comes from its own destination."""
    for address in (SERVER4, "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "10.77.0.255"):
        yield ETHERNET / IP(src=address, dst=SERVER4) / TCP(sport=80, dport=80, flags="S")
    for address in (SERVER6, "::1", "::", "ff02::1"):
        yield ETHERNET / IPv6(src=address, dst=SERVER6) / TCP(sport=80, dport=80, flags="S")
    for address in ("10.77.0.255", "255.255.255.255", "224.0.0.1"):
        broadcast = Ether(src=ETHERNET.src, dst="ff:ff:ff:ff:ff:ff")
        yield broadcast / IP(src=CLIENT4, dst=address) / syn()
        yield broadcast / IP(src=CLIENT4, dst=address) / UDP(sport=9, dport=7) / b"hello"


def icmp():
    """Forged errors about connections that do not exist, and cut ones."""
    quoted = bytes(IP(src=SERVER4, dst=CLIENT4) / TCP(sport=80, dport=40000, flags="A"))
    for kind, code in ((3, 0), (3, 1), (3, 3), (3, 4), (4, 0), (5, 0), (11, 0), (12, 0)):
        for length in (0, 8, 19, 20, 24, 28, len(quoted)):
            for mtu in (0, 68, 1000, 65535):
                yield v4() / ICMP(type=kind, code=code, nexthopmtu=mtu if code == 4 else 0) / Raw(
                    quoted[:length])


def noise():
    """Frames of random bytes, behind a real Ethernet header and behind a real IP header."""
    for _ in range(500):
        body = bytes(random.getrandbits(8) for _ in range(random.randint(1, 300)))
        yield bytes(ETHERNET)[:12] + random.choice((b"\x08\x00", b"\x86\xdd", b"\x81\x00")) + body
        yield v4(proto=random.choice((1, 6, 17))) / Raw(body)


KINDS = [cut, header, checksum, option, fragments, tcp, source, icmp, noise]


def main():
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((DEVICE, 0))
    sent = refused = 0
    for kind in KINDS:
        if sys.argv[1] not in ("all", kind.__name__):
            continue
        for frame in kind():
            try:
                sender.send(bytes(frame))
                sent += 1
            except OSError:
                refused += 1  # larger than the client's own MTU, or too short for its driver
    print(f"{sent} sent, {refused} refused by the client's own kernel")


main()
