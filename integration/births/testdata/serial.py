"""Runs a command in the shell on a guest's serial line, prints what it prints, and ends as it ends.
Called by the tests of this package: serial.py GUEST COMMAND."""
import os, re, select, subprocess, sys, time, tty

guest, command = sys.argv[1:3]
path = subprocess.run(["virsh", "ttyconsole", guest], capture_output=True, text=True,
                      check=True).stdout.strip()
line = os.open(path, os.O_RDWR | os.O_NOCTTY)
tty.setraw(line)
mark = f"end-{os.getpid()}-{time.monotonic_ns()}"
os.write(line, f"echo\n{command}\necho {mark}=$?\n".encode())
said, until = b"", time.monotonic() + 60
while not (found := re.search(mark.encode() + rb"=(\d+)", said)):
    if time.monotonic() > until:
        sys.exit(f"{guest} does not answer on {path}: {said!r}")
    if select.select([line], [], [], 1)[0]:
        said += os.read(line, 65536)
text = said[:found.start()].decode(errors="replace").replace("\r", "")
print("\n".join(one for one in text.split("\n") if mark not in one).strip())
sys.exit(int(found[1]))
