"""Prints what happens to a port, one line for each event: MILLISECONDS device there|gone, and
MILLISECONDS port STATE as the daemon says. The kernel tells of devices; the daemon is asked all the
time. Called by the tests of this package: record.py DEVICE [PORT]."""
import http.client, json, socket, struct, sys, threading, time

device, port = sys.argv[1], sys.argv[-1]


def tell(*what):
    print(int(time.monotonic() * 1000), *what, flush=True)


def devices():
    links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    links.bind((0, 1))  # RTMGRP_LINK
    was_there = False
    while True:
        data = links.recv(65536)
        while len(data) >= 32:
            length, kind = struct.unpack("=IH", data[:6])
            attributes, data = data[32:length], data[(length + 3) & ~3:]
            while len(attributes) >= 4:
                size, name = struct.unpack("=HH", attributes[:4])
                if name == 3 and attributes[4:size].rstrip(b"\0") == device.encode():
                    is_there = kind == 16  # RTM_NEWLINK
                    if is_there != was_there:
                        tell("device", "there" if is_there else "gone")
                    was_there = is_there
                attributes = attributes[(size + 3) & ~3 or 4:]


class Daemon(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/portcullis/portcullis.sock")


def state():
    try:
        daemon = Daemon("localhost")
        daemon.request("GET", "/v1/status")
        ports = json.load(daemon.getresponse())["ports"]
        daemon.close()
    except (OSError, ValueError, http.client.HTTPException):
        return "unanswered"
    return next((p["state"] for p in ports if port in (p["name"], p["instance"])), "none")


threading.Thread(target=devices, daemon=True).start()
last = ""
while True:
    now = state()
    if now != last:
        tell("port", now)
    last = now
    time.sleep(0.01)
