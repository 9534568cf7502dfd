#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""largesyn.py DEVICE MAC SOURCE DESTINATION PORT SIZE: a SYN with so many bytes of data, until it is answered.

Says of the SYN-ACK how many bytes of its frame are not of the packet: "SIZE answered, N behind it".
"""
import random
import select
import socket
import struct
import sys
import time

device, mac, source, destination, port, size = sys.argv[1:]
addresses = socket.inet_aton(source) + socket.inet_aton(destination)
own_port = random.randrange(20000, 30000)


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


tcp = struct.pack('!HHIIBBHHH', own_port, int(port), 1, 0, 5 << 4, 2, 65535, 0, 0) + bytes(int(size))
tcp = tcp[:16] + struct.pack('!H', checksum(addresses + struct.pack('!HH', 6, len(tcp)) + tcp)) + tcp[18:]
ip = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
ip = ip[:10] + struct.pack('!H', checksum(ip + addresses)) + addresses
ends = time.monotonic() + 30
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire:
    wire.bind((device, 0x0800))
    own = wire.getsockname()[4]
    while time.monotonic() < ends:
        wire.send(bytes.fromhex(mac.replace(':', '')) + own + b'\x08\x00' + ip + tcp)
        while select.select([wire], [], [], 0.3)[0]:
            frame = wire.recv(65536)
            if frame[23] == 6 and frame[34:38] == struct.pack('!HH', int(port), own_port) and frame[47] & 0x12 == 0x12:
                print(f'{size} answered, {len(frame) - 14 - struct.unpack("!H", frame[16:18])[0]} behind it')
                sys.exit(0)
sys.exit(1)
