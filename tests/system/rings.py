#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""rings.py ADDRESS PORT FLOWS TURNS SIZE: asks msrings from many sockets, and again.

Each socket is a flow. TURNS is a number, or how long: "3s". What is not answered in a second is asked again, a few times, as a program that
uses UDP would. Prints "rings=… moved=… lost=… again=…": the rings that answered, the flows that more
than one ring answered, the questions without an answer, and those that were asked again."""
import select
import socket
import sys
import time

address, turns = sys.argv[1], sys.argv[4]
port, flows, size = (int(sys.argv[i]) for i in (2, 3, 5))
TRIES = 10
rings = [set() for _ in range(flows)]
lost = again = 0
sockets = []
for _ in range(flows):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 0))  # not connected: then the kernel would keep the queue that it chose first
    sock.setblocking(False)
    sockets.append(sock)
number = {sock: i for i, sock in enumerate(sockets)}


def take(sock, turn):
    """Whether the answer to this turn's question has come; errors are the network's."""
    try:
        answer = sock.recv(2048)
    except OSError:
        return False
    if answer[1:17] != b"%016d" % turn:
        return False
    rings[number[sock]].add(chr(answer[0]))
    return True



def each_turn():
    if not turns.endswith("s"):
        yield from range(int(turns))
        return
    began = time.monotonic()
    turn = 0
    while time.monotonic() - began < float(turns[:-1]):
        yield turn
        turn += 1


for turn in each_turn():
    waiting = set(sockets)
    for attempt in range(TRIES):
        again += len(waiting) if attempt else 0
        for sock in waiting:
            try:
                sock.sendto((b"?%016d" % turn).ljust(size, b"."), (address, port))
            except OSError:
                pass
        while waiting:
            ready = select.select(list(waiting), [], [], 1)[0]
            if not ready:
                break
            waiting -= {sock for sock in ready if take(sock, turn)}
        if not waiting:
            break
    lost += len(waiting)
moved = sum(len(seen) > 1 for seen in rings)
print(f"rings={''.join(sorted(set().union(*rings)))} moved={moved} lost={lost} again={again}")
