package main

// What `ethtool -K DEVICE tx off gso off` does, for a thousand devices. The world calls it.

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// request is struct ifreq, with a pointer as its data.
type request struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// offloadsOff has a device of the thread's namespace send packets with checksums, none of which is
// longer than the wire takes.
func offloadsOff(device string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, command := range []uint32{unix.ETHTOOL_STXCSUM, unix.ETHTOOL_SGSO} {
		value := struct{ command, data uint32 }{command, 0}
		r := request{data: unsafe.Pointer(&value)}
		copy(r.name[:unix.IFNAMSIZ-1], device)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
			uintptr(unsafe.Pointer(&r))); errno != 0 {
			return errno
		}
	}
	return nil
}
