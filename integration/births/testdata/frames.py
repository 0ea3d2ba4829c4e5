"""Prints each frame that comes in at a device, or with out each that goes out there, one line each:
MILLISECONDS SOURCE DESTINATION KIND. It waits for the device, and again for one that has gone.
A kind is tcp/PORT, udp/PORT or icmp, arp (a question or an answer), gratuitous (what a machine says
of its own address), rarp, or the number of another protocol. Called by the tests of this package:
frames.py DEVICE [out]."""
import socket, sys, time

device, is_out = sys.argv[1], sys.argv[2:] == ["out"]


def kind(frame):
    protocol = frame[12:14]
    if protocol == b"\x08\x06":
        return "gratuitous" if frame[28:32] == frame[38:42] else "arp"
    if protocol == b"\x80\x35":
        return "rarp"
    if protocol == b"\x08\x00":
        number, rest = frame[23], frame[14 + 4 * (frame[14] & 15):]
        name = {6: "tcp", 17: "udp"}.get(number)
        if name:
            return f"{name}/{int.from_bytes(rest[2:4], 'big')}"
        return {1: "icmp"}.get(number, f"ip/{number}")
    return protocol.hex()


def watch():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap:
        tap.bind((device, 3))
        while True:
            frame, where = tap.recvfrom(65536)
            if (where[2] == socket.PACKET_OUTGOING) == is_out:
                print(int(time.monotonic() * 1000), frame[6:12].hex(":"), frame[:6].hex(":"),
                      kind(frame), flush=True)


print("listening", flush=True)
while True:
    try:
        watch()
    except OSError:
        time.sleep(0.001)  # there is no such device now
