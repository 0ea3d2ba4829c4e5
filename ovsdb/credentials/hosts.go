package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// How the API server and the hosts know each other: by the certificates that they have for the
// policy database. Invariant: a host asks no host. Its certificate is that of a client, and who asks
// must have that of a server.

// Asked is for a host that is asked.
func (f Files) Asked() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.pair() },
		VerifyConnection: func(state tls.ConnectionState) error {
			return f.judge(state, x509.ExtKeyUsageServerAuth, "")
		}}
}

// Asking is for who asks a host.
func (f Files) Asking(host string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		// What verifies is judge: the name of a host is no address.
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return f.pair()
		},
		VerifyConnection: func(state tls.ConnectionState) error {
			return f.judge(state, x509.ExtKeyUsageAny, host)
		}}
}

// judge holds a certificate against the authority of now, what it is for, and whose it must be; ""
// = anybody's.
func (f Files) judge(state tls.ConnectionState, use x509.ExtKeyUsage, name string) error {
	pool, err := f.authority()
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the other side has no certificate")
	}
	own := state.PeerCertificates[0]
	if _, err := own.Verify(x509.VerifyOptions{Roots: pool,
		KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
		return err
	}
	if name != "" && own.Subject.CommonName != name {
		return fmt.Errorf("the certificate is that of %q, not of %q", own.Subject.CommonName, name)
	}
	return nil
}
