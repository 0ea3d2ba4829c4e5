package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// How the API server and the hosts know each other: by the certificates that they have for the
// policy database. Invariant: a host asks no host. Its certificate is that of a client, and who
// asks must have that of a server.

// Asked is for a host that is asked.
func (f Files) Asked() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.pair() },
		VerifyConnection: func(state tls.ConnectionState) error {
			return f.judge(state, as(x509.ExtKeyUsageServerAuth))
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
			if err := f.judge(state, as(x509.ExtKeyUsageAny)); err != nil {
				return err
			}
			if name := state.PeerCertificates[0].Subject.CommonName; name != host {
				return fmt.Errorf("the certificate is that of %q, not of %q", name, host)
			}
			return nil
		}}
}

// as is what a certificate must be for.
func as(use x509.ExtKeyUsage) x509.VerifyOptions {
	return x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{use}}
}
