# SPDX-License-Identifier: BSD-2-Clause
"""fastopen.py serve|ask ADDR PORT COUNT: fast open on the kernel's sockets, as mstfo on UTCP.

For each connection a line, "syn_data 1" when the question went with the SYN and was taken."""
import socket
import struct
import sys

QUESTION = b"How far is it to Tipperary?"
SYN_DATA = 32  # TCPI_OPT_SYN_DATA
OPTIONS = 5  # where tcpi_options stands in struct tcp_info


def tell(sock):
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    print("syn_data", int(bool(info[OPTIONS] & SYN_DATA)), flush=True)


def serve(listener, count):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.listen(16)
    print("listening", flush=True)
    for _ in range(count):
        sock, _ = listener.accept()
        sock.sendall(sock.recv(len(QUESTION), socket.MSG_WAITALL))
        tell(sock)
        sock.close()


def ask():
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
        sock.sendto(QUESTION, socket.MSG_FASTOPEN, address)
        answer = b""
        while piece := sock.recv(100):
            answer += piece
        tell(sock)
        assert answer == QUESTION, answer


role, host, port, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
address = (host, port)
if role == "serve":
    serve(socket.socket(family, socket.SOCK_STREAM), times)
else:
    for _ in range(times):
        ask()
