#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""frames.py DEVICE MAC SOURCE DESTINATION PORT [VLAN …]: 20 SYNs with these VLAN tags, outermost first.

The tags are in the frames, as a switch of the network puts them there.
"""
import socket
import struct
import sys


def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


device, mac, source, destination, port, *vlans = sys.argv[1:]
addresses = socket.inet_aton(source) + socket.inet_aton(destination)
tcp = struct.pack('!HHIIBBHHH', 4711, int(port), 1, 0, 5 << 4, 2, 65535, 0, 0)
pseudo = addresses + struct.pack('!HH', socket.IPPROTO_TCP, len(tcp))
tcp = tcp[:16] + struct.pack('!H', checksum(pseudo + tcp)) + tcp[18:]
ip = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
ip = ip[:10] + struct.pack('!H', checksum(ip + addresses)) + addresses
tags = b''.join(struct.pack('!HH', 0x8100, int(vlan)) for vlan in vlans)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((device, 0))
    own = wire.getsockname()[4]
    frame = bytes.fromhex(mac.replace(':', '')) + own + tags + b'\x08\x00' + ip + tcp
    for _ in range(20):
        wire.send(frame)
