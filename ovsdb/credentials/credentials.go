// Package credentials is how clients and servers of a policy database know each other: files with
// a certificate, its key, and the certificate of the authority that has signed those of the others.
package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Files are the paths of what one party has, as PEM. They are read anew for each connection: a
// certificate that is renewed needs no restart.
type Files struct{ CA, Certificate, Key string }

// The names of the files in a folder.
const (
	CAName          = "ca.pem"
	CertificateName = "certificate.pem"
	KeyName         = "key.pem"
)

// In are the files of a folder that `portcullis db certificate` has made.
func In(folder string) Files {
	return Files{CA: filepath.Join(folder, CAName),
		Certificate: filepath.Join(folder, CertificateName), Key: filepath.Join(folder, KeyName)}
}

// IsZero says whether there are none.
func (f Files) IsZero() bool { return f == Files{} }

// Config is for a client; nil = there are no files. The server must have a certificate of the
// authority for the address that the client has called. Files that cannot be read are an error of
// each attempt to connect.
func (f Files) Config() *tls.Config {
	if f.IsZero() {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// What verifies is verify, as the standard way has one authority for good.
		InsecureSkipVerify: true,
		VerifyConnection:   f.verify,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return f.pair()
		},
	}
}

func (f Files) pair() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", f.Certificate, f.Key, err)
	}
	return &pair, nil
}

func (f Files) authority() (*x509.CertPool, error) {
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the authority's certificate %s: holds no certificate as PEM", f.CA)
	}
	return pool, nil
}

// verify judges a server's certificate, which must be for the address that was called.
func (f Files) verify(state tls.ConnectionState) error {
	between := x509.NewCertPool()
	for _, one := range state.PeerCertificates {
		between.AddCert(one)
	}
	return f.judge(state, x509.VerifyOptions{DNSName: state.ServerName, Intermediates: between})
}

// judge holds the other side's certificate against the authority's of now.
func (f Files) judge(state tls.ConnectionState, want x509.VerifyOptions) error {
	var err error
	if want.Roots, err = f.authority(); err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the other side has no certificate")
	}
	_, err = state.PeerCertificates[0].Verify(want)
	return err
}
