// Package authority makes the certificates of a policy database: an authority signs those of
// servers, of hosts and of writers. The commands db init and db certificate call it. Invariant: a
// key is readable by its owner alone, and files are replaced as a whole.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/ovsdb/credentials"
)

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// lifetime is that of an authority: twenty years.
const lifetime = 20 * 365 * 24 * time.Hour

// skew is how much earlier than now a certificate begins: clocks differ.
const skew = time.Hour

// Make makes an authority of a name in a folder, where none is yet.
func Make(folder, name string) error {
	if _, err := os.Lstat(credentials.In(folder).Key); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: an authority is there already", folder)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	text, err := sign(template, template, key, key)
	if err != nil {
		return err
	}
	secret, err := keyText(key)
	if err != nil {
		return err
	}
	return write(folder, map[string][]byte{credentials.CAName: text, credentials.KeyName: secret})
}

// Open reads the authority of a folder.
func Open(folder string) (*Authority, error) {
	files := credentials.In(folder)
	text, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: holds no certificate as PEM", files.CA)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files.CA, err)
	}
	secret, err := os.ReadFile(files.Key)
	if err != nil {
		return nil, err
	}
	if block, _ = pem.Decode(secret); block == nil {
		return nil, fmt.Errorf("%s: holds no key as PEM", files.Key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files.Key, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: must be a key of ECDSA", files.Key)
	}
	return &Authority{certificate, signer}, nil
}

// Subject says whose certificate it is, and for what.
type Subject struct {
	Name string // the common name, exactly
	// Addresses are those by which clients call a server: IP addresses, or names. None = it is no
	// server, and nobody takes it for one.
	Addresses []string
	Days      int // how long it holds
}

// Issue makes a key and its certificate in a folder, with that of the authority. What was there is
// replaced.
func (a *Authority) Issue(folder string, s Subject) (until time.Time, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return until, err
	}
	now := time.Now()
	until = now.Add(time.Duration(s.Days) * 24 * time.Hour)
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: s.Name},
		NotBefore: now.Add(-skew), NotAfter: until,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(s.Addresses) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, address := range s.Addresses {
		if ip := net.ParseIP(address); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, address)
		}
	}
	text, err := sign(template, a.certificate, key, a.key)
	if err != nil {
		return until, err
	}
	secret, err := keyText(key)
	if err != nil {
		return until, err
	}
	return until, write(folder, map[string][]byte{credentials.CertificateName: text,
		credentials.KeyName: secret, credentials.CAName: certificateText(a.certificate.Raw)})
}

// Read returns the certificate of a folder.
func Read(folder string) (*x509.Certificate, error) {
	path := credentials.In(folder).Certificate
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: holds no certificate as PEM", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return certificate, nil
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return certificateText(der), nil
}

func certificateText(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyText(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// write puts files into a folder, each as a whole.
func write(folder string, files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}
