"""Speaks to a machine until a line comes on standard input, and prints as JSON what came back: 50 pings a
second; numbered lines, 20 a second, on a connection that it opens (port 7, an echo) and on one that
the machine opens (port 5000); and 50 attempts a second at another PORT. It says ready once all of it
runs. Without a PORT it pings only. Called by the tests of this package: probe.py ADDRESS [PORT]."""
import errno, itertools, json, os, select, socket, struct, sys, threading, time

address, tried = sys.argv[1], int((sys.argv[2:] or [0])[0])


class Stream:
    """What is sent with a number, and when which number came back."""

    def __init__(self):
        self.sent, self.back = 0, {}

    def came(self, number):
        self.back.setdefault(number, time.monotonic())

    def alive(self):
        """Whether something that is sent from now on comes back."""
        after, until = self.sent, time.monotonic() + 20
        while time.monotonic() < until and max(self.back, default=-1) < after:
            time.sleep(0.05)
        return max(self.back, default=-1) >= after

    def told(self):
        times = sorted(self.back.values())
        gap = max((b - a for a, b in itertools.pairwise(times)), default=0)
        lost = sum(1 for n in range(max(self.back, default=0)) if n not in self.back)
        return {"sent": self.sent, "lost": lost, "silence": int(gap * 1000), "alive": self.is_alive}


class Pings(Stream):
    def __init__(self):
        super().__init__()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.key = os.getpid() & 0xffff
        begin(self.send)
        begin(self.receive)

    def send(self):
        while True:
            body = struct.pack("!HHHHI", 0x0800, 0, self.key, self.sent & 0xffff, self.sent)
            total = sum(struct.unpack("!6H", body))
            total = (total & 0xffff) + (total >> 16)
            total = (total & 0xffff) + (total >> 16)
            try:
                self.socket.sendto(body[:2] + struct.pack("!H", 0xffff - total) + body[4:], (address, 0))
            except OSError:
                pass  # nobody answers for its address at this moment
            self.sent += 1
            time.sleep(0.02)

    def receive(self):
        while True:
            data = self.socket.recv(1024)[20:]
            if data[0] == 0 and data[4:6] == struct.pack("!H", self.key):
                self.came(struct.unpack("!I", data[8:12])[0])


class Lines(Stream):
    def __init__(self, connection):
        super().__init__()
        self.socket = connection
        begin(self.send)
        begin(self.receive)

    def send(self):
        while True:
            self.socket.sendall(b"%d\n" % self.sent)
            self.sent += 1
            time.sleep(0.05)

    def receive(self):
        for line in self.socket.makefile():
            if line.strip().isdigit():
                self.came(int(line))


class Attempts:
    """Connections that may not come to be, and are closed where they do."""

    def __init__(self):
        self.sent, self.passed = 0, 0
        begin(self.run)

    def run(self):
        open_ones = []
        while True:
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((address, tried))
            self.sent += 1
            open_ones.append((time.monotonic(), one))
            poll = select.poll()
            for _, each in open_ones:
                poll.register(each, select.POLLOUT)
            answered = {number for number, _ in poll.poll(20)}
            for began, each in list(open_ones):
                if each.fileno() in answered:
                    self.passed += each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (
                        0, errno.ECONNREFUSED, errno.ECONNRESET)
                elif began > time.monotonic() - 2:
                    continue
                open_ones.remove((began, each))
                each.close()
            if not answered:
                continue
            time.sleep(0.02)


def begin(what):
    threading.Thread(target=what, daemon=True).start()


streams, attempts = {"pings": Pings()}, None
if tried:
    door = socket.create_server(("", 5000))
    print("listening", flush=True)
    streams["from"] = Lines(door.accept()[0])
    streams["to"] = Lines(socket.create_connection((address, 7)))
    attempts = Attempts()
while not all(len(s.back) > 5 for s in streams.values()):
    time.sleep(0.05)
print("ready", flush=True)
sys.stdin.readline()
for s in streams.values():
    s.is_alive = s.alive()
out = {name: s.told() for name, s in streams.items()}
if attempts:
    out["attempts"] = {"sent": attempts.sent, "passed": attempts.passed}
print(json.dumps(out), flush=True)
