package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Bearer tokens: "pc_ID_SECRET". The secret has 256 random bits, so that its SHA-256 can be kept
// in the open: nothing can be tried against it.

// tokenPrefix lets scanners of secrets know a token when they see one.
const tokenPrefix = "pc_"

// idBytes and secretBytes are what is drawn for a token.
const (
	idBytes     = 10
	secretBytes = 32
	keyBytes    = 12
)

// keyPrefix is how keys of signatures begin.
const keyPrefix = "EXO"

// letters are those of tokens: no upper case, nothing that a shell or a URL would change.
var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Drawn is a new token. Text is shown once; ID and Digest are kept.
type Drawn struct {
	ID     string
	Text   string
	Digest string // of the secret, in hexadecimal
}

// Draw makes a token of random bits.
func Draw() Drawn {
	id, secret := random(idBytes), random(secretBytes)
	return Drawn{ID: id, Text: tokenPrefix + id + "_" + secret, Digest: digest(secret)}
}

// random returns so many random bytes as letters.
func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // it never fails: crypto/rand.Read
	return letters.EncodeToString(b)
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Bearer is a token as it was presented.
type Bearer struct{ ID, secret string }

// ParseBearer reads a token; false = it has not the form of one.
func ParseBearer(text string) (Bearer, bool) {
	rest, isToken := strings.CutPrefix(text, tokenPrefix)
	id, secret, isWhole := strings.Cut(rest, "_")
	isRight := isToken && isWhole && isRandom(id, idBytes) && isRandom(secret, secretBytes)
	if !isRight {
		return Bearer{}, false
	}
	return Bearer{ID: id, secret: secret}, true
}

// isRandom says whether a text is what random returns for so many bytes.
func isRandom(text string, bytes int) bool {
	b, err := letters.DecodeString(text)
	return err == nil && len(b) == bytes && letters.EncodeToString(b) == text
}

// Matches says whether this is the token whose digest was kept. It takes as long for a wrong one.
func (b Bearer) Matches(kept string) bool {
	return subtle.ConstantTimeCompare([]byte(digest(b.secret)), []byte(kept)) == 1
}

// DrawKey makes the key of signatures, and its secret, in the form that Exoscale's have.
func DrawKey() (key, secret string) {
	b := make([]byte, keyBytes+secretBytes)
	_, _ = rand.Read(b) // it never fails: crypto/rand.Read
	return keyPrefix + hex.EncodeToString(b[:keyBytes]),
		base64.RawURLEncoding.EncodeToString(b[keyBytes:])
}
