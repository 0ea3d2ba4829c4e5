package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy"
)

// Reading services back from the words of [Services.String]: for whoever has an answer as JSON.
// Invariant: what was written is read as the same set.

const anyBut = "any but "

// UnmarshalText reads the words of [Services.String].
func (s *Services) UnmarshalText(text []byte) error {
	words := string(text)
	*s = nil
	switch {
	case words == "nothing":
		return nil
	case words == "any":
		*s = Services{everything}
		return nil
	}
	rest, but := strings.CutPrefix(words, anyBut)
	var out Services
	for item := range strings.SplitSeq(rest, ", ") {
		p, err := readSpan(item)
		if err != nil {
			return err
		}
		out = out.Union(Services{p})
	}
	if *s = out; but {
		*s = (Services{everything}).Minus(out)
	}
	return nil
}

// readSpan reads one part: "tcp 80-443", "icmp type 8 code 0", "protocol 99", "esp".
func readSpan(item string) (span, error) {
	fields := strings.Fields(item)
	if len(fields) > 1 && fields[0] == "protocol" {
		fields = fields[1:]
	}
	if len(fields) == 0 {
		return span{}, fmt.Errorf("services %q: a part is empty", item)
	}
	p, ok := policy.ParseProtocol(fields[0])
	if !ok || p >= policy.AnyProtocol {
		return span{}, fmt.Errorf("services %q: %q is no protocol", item, fields[0])
	}
	all := whole(p)
	low, high := uint64(all.first&0xffff), uint64(all.last&0xffff)
	var err error
	switch rest := fields[1:]; len(rest) {
	case 0:
	case 1:
		low, high, err = readRange(rest[0])
	case 2: // type 8, types 3-4
		low, high, err = readRange(rest[1])
		low, high = low<<8, high<<8|0xff
	case 4: // type 8 code 0, type 3 codes 1-2
		var kind, last uint64
		if kind, last, err = readRange(rest[1]); err == nil && kind == last {
			low, high, err = readRange(rest[3])
			low, high = kind<<8|low, kind<<8|high
		}
	default:
		err = fmt.Errorf("too many words")
	}
	if err != nil || low > high || high > 0xffff {
		return span{}, fmt.Errorf("services %q: want words such as tcp 80-443 or icmp type 8", item)
	}
	return span{all.first | uint32(low), all.first | uint32(high)}, nil
}

// readRange reads "80" or "80-443".
func readRange(text string) (low, high uint64, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	if low, err = strconv.ParseUint(first, 10, 16); err == nil {
		high, err = strconv.ParseUint(last, 10, 16)
	}
	return low, high, err
}

// UnmarshalText reads the word of [Outcome.String].
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, one := range []Outcome{Denied, Partly, Admitted} {
		if one.String() == string(text) {
			*o = one
			return nil
		}
	}
	return fmt.Errorf("%q is no verdict: want denied, partly or admitted", text)
}
