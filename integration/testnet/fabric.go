package testnet

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// fabric is the physical network beyond the uplink: a hub, so that everybody there hears everything
// that leaves the switch. It is no bridge of the kernel's, because such a bridge takes the trailers
// off IP packets where the machine filters bridged traffic.
type fabric struct {
	ns *Namespace

	mu    sync.RWMutex
	ports map[string]*os.File
}

func newFabric() (*fabric, error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	return &fabric{ns: n, ports: map[string]*os.File{}}, nil
}

// join makes a link of the fabric's namespace a port of the hub.
func (f *fabric) join(link string) error {
	l, err := f.ns.Links.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find %s: %w", link, err)
	}
	var socket *os.File
	if err := f.ns.Do(func() error {
		socket, err = packetSocket(l.Attrs().Index, unix.ETH_P_ALL)
		return err
	}); err != nil {
		return fmt.Errorf("join %s to the fabric: %w", link, err)
	}
	f.mu.Lock()
	f.ports[link] = socket
	f.mu.Unlock()
	go receive(socket, func(frame Frame) { f.repeat(link, frame) })
	return nil
}

// repeat sends a frame out of every port but the one it came in by. A port that cannot send now
// loses it, as on a wire.
func (f *fabric) repeat(from string, frame Frame) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for name, socket := range f.ports {
		if name != from {
			_, _ = socket.Write(frame)
		}
	}
}

func (f *fabric) close() {
	f.mu.Lock()
	for _, socket := range f.ports {
		_ = socket.Close()
	}
	f.mu.Unlock()
	f.ns.Close()
}
