package testnet

import (
	"fmt"
	"net"
)

// NewBareHost makes a namespace with one interface and its addresses, wired to a port in the
// namespace at: a host for measurements, where nothing listens that was not asked for.
func NewBareHost(at *Namespace, spec HostSpec) (*Namespace, error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, err
	}
	err = plug(at, spec.Port, n, net.HardwareAddr(spec.MAC[:]))
	if err == nil {
		err = address(n, spec.Addresses)
	}
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("host %s: %w", spec.Name, err)
	}
	return n, nil
}
