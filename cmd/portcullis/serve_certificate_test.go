package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // of its own certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	a := &authority{t: t, cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}),
		0o600))
}

// sign makes a certificate and its key; change makes it another one than usual.
func (a *authority) sign(name string, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	of := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(of)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	der, err := x509.CreateCertificate(rand.Reader, of, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// files makes the certificate of a server at 127.0.0.1.
func (a *authority) files() (certificate, key string) {
	a.t.Helper()
	pair := a.sign("a server", func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.DNSNames = []string{"localhost", "portcullis.test"}
	})
	dir := a.t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.write(certificate, "CERTIFICATE", pair.Certificate[0])
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(a.t, err)
	a.write(key, "PRIVATE KEY", der)
	return certificate, key
}

// client trusts the authority, and shows certificates.
func (a *authority) client(shows ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	out := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12,
			// also one that the server does not ask for
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(shows) == 0 {
					return &tls.Certificate{}, nil
				}
				return &shows[0], nil
			}}}}
	a.t.Cleanup(out.CloseIdleConnections)
	return out
}

// as asks with a certificate, by a connection of its own.
func (s *apiServer) as(a *authority, c tls.Certificate, path string) answer {
	s.t.Helper()
	other := *s
	other.client = a.client(c)
	return other.get("", path)
}

// TestServeCertificates lets in who has a certificate with a name in the table, as what the table
// says, and nobody else.
func TestServeCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cert, key := a.files()
	s := newServerFor(t, a.client(), "--tls-cert", cert, "--tls-key", key, "--client-ca", a.file)
	_, operator := s.token("--role", "operator")
	require.Equal(t, 200, s.ask(operator, http.MethodPut, "/v1/projects/acme", `{}`).code)

	create := func(flags ...string) answer {
		return call(t, append([]string{"token", "create", "--db", s.db.endpoint}, flags...)...)
	}
	ci := create("--certificate", "ci.example.org", "--role", "viewer", "--project", "acme")
	require.Equal(t, 0, ci.code, ci.errOut)
	require.Equal(t, 0, create("--certificate", "spiffe://example.org/ops", "--role", "operator").code)
	again := create("--certificate", "ci.example.org", "--role", "operator")
	assert.Equal(t, 1, again.code)
	assert.Contains(t, again.errOut, "it has an entry already, to be revoked first")
	assert.Contains(t, call(t, "token", "list", "--db", s.db.endpoint).out, "certificate ci.example.org")

	own := a.sign("ci.example.org", nil)
	who := func(c tls.Certificate, code int, says string) {
		t.Helper()
		got := s.as(a, c, "/v1/whoami")
		assert.Equal(t, code, got.code, got.errOut)
		assert.Contains(t, got.out+got.errOut, says)
	}
	who(own, 200, `"name":"certificate ci.example.org","how":"certificate","role":"viewer","project":"acme"`)
	who(a.sign("x", func(c *x509.Certificate) { c.DNSNames = []string{"ci.example.org"} }), 200, `"viewer"`)
	ops := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/ops"}
	who(a.sign("", func(c *x509.Certificate) { c.URIs = []*url.URL{ops} }), 200, `"operator"`)
	assert.Equal(t, 403, s.as(a, own, "/v1/changes").code, "it is of one project")

	who(a.sign("nobody.example.org", nil), 401, "who are you")
	who(a.sign("ci.example.org", func(c *x509.Certificate) { c.URIs = []*url.URL{ops} }), 401, "who are you")
	who(stranger.sign("ci.example.org", nil), 0, "")
	who(a.sign("ci.example.org", func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(-time.Minute)
	}), 0, "")
	who(a.sign("ci.example.org", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}), 0, "")
	assert.Equal(t, 401, s.get("", "/v1/whoami").code, "none")

	id := ci.out[:len(ci.out)-1]
	require.Equal(t, 0, call(t, "token", "revoke", id, "--db", s.db.endpoint).code)
	require.Eventually(t, func() bool { return s.as(a, own, "/v1/whoami").code == 401 }, generous,
		10*time.Millisecond)
}

// TestServeCertificateOfAnOldConnection is nobody's as soon as it is over, also by a connection
// that began before.
func TestServeCertificateOfAnOldConnection(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.files()
	s := newServerFor(t, a.client(), "--tls-cert", cert, "--tls-key", key, "--client-ca", a.file)
	require.Equal(t, 0, call(t, "token", "create", "--db", s.db.endpoint, "--certificate", "brief",
		"--role", "viewer").code)
	s.client = a.client(a.sign("brief", func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(3 * time.Second)
	}))
	require.Eventually(t, func() bool { return s.get("", "/v1/whoami").code == 200 }, generous,
		10*time.Millisecond)
	require.Eventually(t, func() bool { return s.get("", "/v1/whoami").code == 401 }, generous,
		50*time.Millisecond)
}
