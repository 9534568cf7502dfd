#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""protocols.py WHAT ARGS…: the client's side of test_protocols.sh, and a legacy receiver."""
import logging
import os
import socket
import struct
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

SERVER4, CLIENT4 = "10.77.0.1", "10.77.0.2"
SERVER6, CLIENT6 = "fd77::1", "fd77::2"
DEVICE = "eth0"


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def raw(protocol, family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_RAW, protocol)


def sctp(port):
    with raw(132) as out:
        out.sendto(struct.pack("!HHII", 5000, int(port), 0, 0) + b"chunk", (SERVER4, 0))


def whole(protocol, text="protocol"):
    with raw(int(protocol)) as out:
        out.sendto(text.encode(), (SERVER4, 0))


def icmp_unreachable(protocol):
    """Whether the server says "protocol unreachable" about it."""
    with raw(socket.IPPROTO_ICMP) as errors, raw(protocol) as out:
        errors.settimeout(0.5)
        out.sendto(b"anybody?", (SERVER4, 0))
        try:
            while True:
                packet = errors.recv(2048)
                if packet[20:22] == b"\x03\x02" and packet[28 + 9] == protocol:
                    return True
        except TimeoutError:
            return False


def unreachable():
    print("answered" if icmp_unreachable(254) else "silent")


def quiet():
    print("answered" if icmp_unreachable(253) else "quiet")


def long(address, size):
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as out:
        out.sendto(os.urandom(int(size)), (address, 6010))


def send(address, port, text):
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, DEVICE.encode())
        if ":" in address:
            out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF,
                           socket.if_nametoindex(DEVICE))
        else:
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                           socket.inet_aton(CLIENT4))
        out.sendto(text.encode(), (address, int(port)))


def receiver(group, port):
    """A legacy program: prints what comes to a group."""
    device = "nic0" if os.path.exists("/sys/class/net/nic0") else DEVICE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sink.bind((group, int(port)))
        sink.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        struct.pack("=4s4si", socket.inet_aton(group), bytes(4),
                                    socket.if_nametoindex(device)))
        print("ready", flush=True)
        while True:
            print(sink.recv(2048).decode(errors="replace"), flush=True)


def server_mac():
    with os.popen("ip neigh show " + SERVER4) as neighbors:
        words = neighbors.read().split()
    return words[words.index("lladdr") + 1]


def send_behind(layers, text):
    """Sends a datagram behind `layers`."""
    from scapy.all import Ether, IPv6, Raw, UDP, sendp  # pylint: disable=import-outside-toplevel
    packet = IPv6(src=CLIENT6, dst=SERVER6)
    for layer in layers:
        packet /= layer
    packet /= UDP(sport=5000, dport=6010) / Raw(text)
    sendp(Ether(dst=server_mac()) / packet, iface=DEVICE, verbose=False)


def extended():
    from scapy.all import (  # pylint: disable=import-outside-toplevel
        IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    send_behind([IPv6ExtHdrRouting(type=0, segleft=0)], b"rout")
    send_behind([options], b"dest")
    send_behind([IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]), options], b"hopb")
    send_behind([IPv6ExtHdrFragment(id=7)], b"atom")


def overlap():
    from scapy.all import (  # pylint: disable=import-outside-toplevel
        Ether, IP, Raw, UDP, sendp)
    frame = Ether(dst=server_mac()) / IP(src=CLIENT4, dst=SERVER4, id=4711, proto=17)
    first, second = frame.copy(), frame.copy()
    first[IP].flags = "MF"
    second[IP].frag = 1
    sendp([first / UDP(sport=9, dport=6010, len=72) / Raw(bytes(32)), second / Raw(b"x" * 64)],
          iface=DEVICE, verbose=False)


globals()[sys.argv[1]](*sys.argv[2:])
