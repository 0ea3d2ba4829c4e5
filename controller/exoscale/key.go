package exoscale

import (
	"time"

	"github.com/portcullis/portcullis/controller/access"
	"github.com/portcullis/portcullis/controller/apiserver"
	"github.com/portcullis/portcullis/ovsdb/policydb"
)

// Keys: made once, shown once. The command token calls this.

// MadeKey is a new key. Nobody can have its secret again.
type MadeKey struct {
	apiserver.Token
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

// Draw makes a key of what it is to be, and what is to be kept of it. by is who makes it.
func Draw(want apiserver.NewToken, sealer *access.Sealer, by string,
	at time.Time) (MadeKey, policydb.Token, error) {
	_, kept, err := want.Draw(by, at)
	if err != nil {
		return MadeKey{}, kept, err
	}
	key, secret := access.DrawKey()
	kept.ID, kept.Kind, kept.Secret = key, policydb.ExoscaleKey, sealer.Seal(key, secret)
	return MadeKey{Token: apiserver.TokenOf(kept), Key: key, Secret: secret}, kept, nil
}
