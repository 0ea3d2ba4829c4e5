package policydir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// folderEvents are what can happen to the files of a folder, and to the folder (inotify(7)).
const folderEvents = unix.IN_MODIFY | unix.IN_CLOSE_WRITE |
	unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// event is what happened in a folder that is watched.
type event struct {
	folder string // as it was given to watch; "" = anything may have happened anywhere
	name   string // of the file in it; "" = the folder itself
	mask   uint32 // IN_* of inotify(7)
}

// notifier tells what happens in folders. The kernel puts an event into its queue before the call
// that causes it returns.
type notifier struct {
	file    *os.File
	folders map[int32]string // by watch descriptor
	buffer  [16 << 10]byte
}

func newNotifier() (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &notifier{file: os.NewFile(uintptr(fd), "inotify"), folders: make(map[int32]string)}, nil
}

// watch begins to tell of a folder. It may be repeated: of a folder that is another one by now, the
// new one is watched.
func (n *notifier) watch(folder string) error {
	conn, err := n.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		var wd int
		if wd, failed = unix.InotifyAddWatch(int(fd), folder, folderEvents); failed == nil {
			n.folders[int32(wd)] = folder
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("watch %s: %w", folder, err)
	}
	return nil
}

// wait calls take when there may be events, until take returns true or the notifier is closed.
func (n *notifier) wait(take func() bool) error {
	conn, err := n.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	return conn.Read(func(uintptr) bool { return take() })
}

// pending returns the events that are in the queue. It does not wait.
func (n *notifier) pending() (out []event, err error) {
	conn, err := n.file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	size := 0
	var failed error
	for {
		err := conn.Control(func(fd uintptr) { size, failed = unix.Read(int(fd), n.buffer[:]) })
		switch {
		case errors.Is(failed, unix.EINTR):
		case errors.Is(failed, unix.EAGAIN):
			return out, nil
		case err != nil || failed != nil:
			return out, fmt.Errorf("inotify: %w", errors.Join(err, failed))
		default:
			out = append(out, n.events(n.buffer[:size])...)
		}
	}
}

// events reads struct inotify_event, one after another: wd, mask, cookie, len, name.
func (n *notifier) events(data []byte) (out []event) {
	for len(data) >= unix.SizeofInotifyEvent {
		wd, mask := int32(binary.NativeEndian.Uint32(data)), binary.NativeEndian.Uint32(data[4:])
		length := binary.NativeEndian.Uint32(data[12:])
		name, _, _ := bytes.Cut(data[unix.SizeofInotifyEvent:][:length], []byte{0})
		data = data[unix.SizeofInotifyEvent+length:]
		folder, known := n.folders[wd]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			out = append(out, event{mask: mask})
		case mask&unix.IN_IGNORED != 0:
			delete(n.folders, wd) // the folder is gone
			fallthrough
		default:
			if known {
				out = append(out, event{folder, string(name), mask})
			}
		}
	}
	return out
}

func (n *notifier) close() error { return n.file.Close() }
