package testnet

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// EnlargeBuffers gives the sockets by which ovs-vswitchd receives frames much room. They hold a few
// hundred frames by default; where the machine is so busy that ovs-vswitchd gets no processor for a
// quarter of a second, the kernel drops what does not fit, and tests that count packets would take
// that for a fault of the policy.
func (s *Switch) EnlargeBuffers() error {
	if !s.vswitchd.Running() {
		return nil
	}
	pid := s.vswitchd.cmd.Process.Pid
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(process)
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("list the files of ovs-vswitchd: %w", err)
	}
	for _, file := range files {
		target, err := os.Readlink(folder + "/" + file.Name())
		if err != nil || !strings.HasPrefix(target, "socket:") {
			continue // closed since, or no socket
		}
		number, err := strconv.Atoi(file.Name())
		if err != nil {
			return fmt.Errorf("list the files of ovs-vswitchd: %w", err)
		}
		if err := enlargeBuffer(process, number); err != nil {
			return fmt.Errorf("enlarge the buffer of socket %d of ovs-vswitchd: %w", number, err)
		}
	}
	return nil
}

// enlargeBuffer changes a file of another process, if it is a packet socket.
func enlargeBuffer(process, number int) error {
	fd, err := unix.PidfdGetfd(process, number, 0)
	if err == unix.EBADF {
		return nil // closed since
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil ||
		domain != unix.AF_PACKET {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
}
