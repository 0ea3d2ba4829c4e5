package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Secrets of signatures: HMAC needs the secret itself, so no digest of it will do. It is kept
// sealed with AES-256-GCM and a key that is in a file of the API server alone; whoever can read the
// database, as every host can, has nothing by it.

// KeySize is the length in bytes of a sealing key.
const KeySize = 32

// Sealer seals and opens secrets.
type Sealer struct{ aead cipher.AEAD }

// ParseSealer reads a key: 64 hexadecimal digits, as `openssl rand -hex 32` prints them.
func ParseSealer(text string) (*Sealer, error) {
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != KeySize {
		return nil, errors.New("is no key: want 64 hexadecimal digits, as 'openssl rand -hex 32' " +
			"prints them")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead}, nil
}

// Seal returns a text that only Open with the same key and the same name turns into the secret.
func (s *Sealer) Seal(name, secret string) string {
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails: crypto/rand.Read
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(secret), []byte(name)))
}

// Open returns what was sealed under a name.
func (s *Sealer) Open(name, sealed string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(raw) < s.aead.NonceSize() {
		return "", fmt.Errorf("the secret of %q is damaged", name)
	}
	nonce, rest := raw[:s.aead.NonceSize()], raw[s.aead.NonceSize():]
	secret, err := s.aead.Open(nil, nonce, rest, []byte(name))
	if err != nil {
		return "", fmt.Errorf("the secret of %q was sealed with another key, or is damaged", name)
	}
	return string(secret), nil
}
