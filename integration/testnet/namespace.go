package testnet

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace without a name. One OS thread lives in it until Close and does
// what Do is given: a socket made there belongs to the namespace wherever it is used later, and a
// process started there runs in it.
type Namespace struct {
	Links *netlink.Handle // links, addresses and routes of this namespace

	file  *os.File
	calls chan func()
	done  chan struct{}
}

// NewNamespace makes a namespace with nothing but the loopback device, which is up. It needs
// CAP_SYS_ADMIN.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{calls: make(chan func()), done: make(chan struct{})}
	made := make(chan error)
	go n.live(made)
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	var err error
	if err = n.Do(func() error {
		n.Links, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	}); err == nil {
		err = n.setUp("lo")
	}
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("prepare a network namespace: %w", err)
	}
	return n, nil
}

// live is the thread of the namespace. It ends locked, so that the thread is not used for anything
// else.
func (n *Namespace) live(made chan<- error) {
	runtime.LockOSThread()
	defer close(n.done)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		made <- err
		return
	}
	var err error
	n.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	made <- err
	if err != nil {
		return
	}
	for call := range n.calls {
		call()
	}
}

// Do runs f in the namespace and returns its error.
func (n *Namespace) Do(f func() error) error {
	result := make(chan error, 1)
	n.calls <- func() { result <- f() }
	return <-result
}

// Path is a file that nsenter(1) takes to enter the namespace, as long as this process lives.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Close lets go of the namespace; the kernel removes it, and every link in it, with its last socket
// and process.
func (n *Namespace) Close() {
	if n.Links != nil {
		n.Links.Close()
	}
	close(n.calls)
	<-n.done
	_ = n.file.Close()
}

func (n *Namespace) setUp(link string) error {
	l, err := n.Links.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find %s: %w", link, err)
	}
	if err := n.Links.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", link, err)
	}
	return nil
}
