// The limits of a port, in files and back. In a file 0 is no limit, and what is left out is as the
// settings say.

package policyfile

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
)

// readLimits reads the limits of one port, whose trust is known.
func readLimits(n strictyaml.Node, p *policy.Port) {
	if p.Trusted {
		n.Errorf("%s", policy.TrustedUnlimited)
		return
	}
	f, _ := n.Fields(limitKeys...)
	for key, limit := range limitsByKey(&p.Limits) {
		if n, ok := f[key]; ok {
			*limit = readLimit(n)
		}
	}
}

// readLimit reads a number. 0 is none, whatever the settings say; that they say it is what leaving
// out the key means.
func readLimit(n strictyaml.Node) policy.Limit {
	switch v, ok := n.Number(0, int64(policy.MaxLimit)); {
	case !ok:
		return 0
	case v == 0:
		return policy.Unlimited
	default:
		return policy.Limit(v)
	}
}

// limitsByKey returns where the value of each of limitKeys belongs.
func limitsByKey(l *policy.Limits) map[string]*policy.Limit {
	return map[string]*policy.Limit{limitKeys[0]: &l.Connections, limitKeys[1]: &l.NewConnections,
		limitKeys[2]: &l.ARPNDDHCP,
		limitKeys[3]: &l.Fragments}
}

// limitsText writes limits as a policy file has them; "" if there are none.
func limitsText(l policy.Limits) string {
	var words []string
	values := limitsByKey(&l)
	for _, key := range limitKeys {
		switch v := *values[key]; v {
		case 0:
		case policy.Unlimited:
			words = append(words, key+": 0")
		default:
			words = append(words, fmt.Sprintf("%s: %d", key, v))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "{" + strings.Join(words, ", ") + "}"
}
