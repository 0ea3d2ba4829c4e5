package testnet

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Fabric is the physical network beyond uplinks: a hub, so that everybody there hears everything
// that leaves a switch. It is no bridge of the kernel's, because such a bridge takes the trailers
// off IP packets where the machine filters bridged traffic.
type Fabric struct {
	Namespace *Namespace // the far ends of its wires are here

	mu    sync.RWMutex
	ports map[string]*os.File
}

// NewFabric makes a fabric without a wire.
func NewFabric() (*Fabric, error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	return &Fabric{Namespace: n, ports: map[string]*os.File{}}, nil
}

// Wire lays a wire from a namespace, where its end has the name of an uplink, to a new port of the
// fabric. Uplinks of one fabric need different ports.
func (f *Fabric) Wire(at *Namespace, uplink, port string) error {
	if err := pair(at, uplink, f.Namespace, port, nil); err != nil {
		return err
	}
	return f.join(port)
}

// join makes a link of the fabric's namespace a port of the hub.
func (f *Fabric) join(link string) error {
	l, err := f.Namespace.Links.LinkByName(link)
	if err != nil {
		return fmt.Errorf("find %s: %w", link, err)
	}
	var socket *os.File
	if err := f.Namespace.Do(func() error {
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
func (f *Fabric) repeat(from string, frame Frame) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for name, socket := range f.ports {
		if name != from {
			_, _ = socket.Write(frame)
		}
	}
}

// Close takes the fabric away, with all wires.
func (f *Fabric) Close() {
	f.mu.Lock()
	for _, socket := range f.ports {
		_ = socket.Close()
	}
	f.mu.Unlock()
	f.Namespace.Close()
}
