package assertion

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// A line of a test file, from its words. What an end is, only the policy knows.

// Claim is what somebody says of a policy. The zero Claim says nothing, and does not hold.
type Claim struct {
	From, To string // ends as written; of a list that of one side is empty
	Service  explain.Asked
	Expected explain.Outcome // admitted or denied, for each pair of addresses
	// IsList = the end that is there reaches, or is reached by, those of the list and by their
	// services, and nobody else.
	IsList bool
	List   []Entry
	Family Family
}

// Entry is one of a list.
type Entry struct {
	Who     string
	Service explain.Asked
}

// Family says which addresses are meant.
type Family string

// The zero Family is every one that both ends have.
const (
	EveryFamily Family = ""
	IPv4        Family = "ipv4"
	IPv6        Family = "ipv6"
)

// has says whether a family is asked about.
func (f Family) has(v6 bool) bool { return f == EveryFamily || v6 == (f == IPv6) }

// The forms of a line, for messages.
const forms = "write 'A -> B SERVICE admitted', 'A -> B SERVICE denied', 'A <- only B SERVICE, " +
	"C SERVICE', 'A -> only B SERVICE' or 'A <- nobody'"

// Parse reads a line: two ends with an arrow between them, a service and a verdict, or an end, an
// arrow and a list; and a family at its end, if one is meant. Errors say what would be right.
func Parse(line string) (Claim, error) {
	words, err := split(line)
	if err != nil {
		return Claim{}, err
	}
	var c Claim
	if n := len(words); n > 0 {
		if f := Family(strings.ToLower(words[n-1])); f == IPv4 || f == IPv6 {
			c.Family, words = f, words[:n-1]
		}
	}
	n := slices.IndexFunc(words, func(w string) bool { return direction(w) != 0 })
	switch {
	case len(words) == 0:
		return c, errors.New("an assertion is missing: " + forms)
	case n < 0:
		return c, errors.New("there is no arrow between blanks: " + forms)
	case n != 1:
		return c, fmt.Errorf("one end stands before the arrow, not %d words (names with blanks stand "+
			"in quotes): %s", n, forms)
	case len(words) < 3:
		return c, errors.New("there is nothing behind the arrow: " + forms)
	}
	end, d, rest := words[0], direction(words[1]), words[2:]
	switch first := strings.ToLower(rest[0]); {
	case first == "only" && len(rest) == 1:
		return c, errors.New("only whom? " + forms)
	case first == "only":
		err = c.readList(end, d, rest[1:])
	case first == "nobody" && len(rest) == 1:
		err = c.readList(end, d, nil)
	default:
		err = c.readPair(end, d, rest)
	}
	return c, err
}

// direction of a list, by its arrow; 0 = the word is no arrow.
func direction(word string) policy.Direction {
	switch word {
	case "->", "→", "=>":
		return policy.Egress
	case "<-", "←", "<=":
		return policy.Ingress
	}
	return 0
}

// split cuts a line at its blanks; what stands in double quotes is one word.
func split(line string) ([]string, error) {
	var out []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		if rest[0] != '"' {
			n := strings.IndexAny(rest+" ", " \t\n")
			out, rest = append(out, rest[:n]), rest[n:]
			continue
		}
		n := strings.IndexByte(rest[1:], '"')
		if n < 0 {
			return nil, fmt.Errorf("a quote is not closed in %s", wording.Quote(line))
		}
		out, rest = append(out, rest[1:n+1]), rest[n+2:]
		if strings.HasPrefix(rest, ",") {
			out[len(out)-1], rest = out[len(out)-1]+",", rest[1:]
		}
	}
	return out, nil
}

// readPair reads what stands behind the arrow: an end, a service and a verdict.
func (c *Claim) readPair(end string, d policy.Direction, rest []string) error {
	last := rest[len(rest)-1]
	switch strings.ToLower(last) {
	case "admitted":
		c.Expected = explain.Admitted
	case "denied":
		c.Expected = explain.Denied
	default:
		return fmt.Errorf("the last word must be admitted or denied, not %s%s", wording.Quote(last),
			meant(last))
	}
	if len(rest) < 2 {
		return errors.New("there is no end behind the arrow: " + forms)
	}
	if c.From, c.To = end, rest[0]; d == policy.Ingress {
		c.From, c.To = c.To, c.From
	}
	var err error
	c.Service, err = service(rest[1 : len(rest)-1])
	return err
}

// meant guesses which verdict a word stands for.
func meant(word string) string {
	for verdict, others := range map[string][]string{
		"admitted": {"allowed", "allow", "accepted", "accept", "permitted", "permit", "pass", "passes",
			"open", "yes", "ok"},
		"denied": {"deny", "blocked", "block", "dropped", "drop", "refused", "rejected", "reject",
			"closed", "no", "forbidden"}} {
		if slices.Contains(others, strings.ToLower(word)) {
			return fmt.Sprintf("; did you mean %q?", verdict)
		}
	}
	return wording.DidYouMean(word, []string{"admitted", "denied"})
}

// service reads one of one word or two: mysql, tcp/3306, tcp 3306; none is any.
func service(words []string) (explain.Asked, error) {
	switch len(words) {
	case 0:
		return explain.ParseAsked("any")
	case 1, 2:
		return explain.ParseAsked(strings.Join(words, "/"))
	}
	return explain.Asked{}, fmt.Errorf("a service is one word, such as mysql or tcp/3306, not %s",
		wording.Quote(strings.Join(words, " ")))
}

// readList reads entries with commas between them.
func (c *Claim) readList(end string, d policy.Direction, words []string) error {
	if c.IsList, c.To = true, end; d == policy.Egress {
		c.From, c.To = end, ""
	}
	var entry []string
	for n, w := range words {
		part, ends := strings.CutSuffix(w, ",")
		if part != "" {
			entry = append(entry, part)
		}
		if !ends && n < len(words)-1 {
			continue
		}
		if len(entry) == 0 {
			return errors.New("an entry of the list is empty")
		}
		s, err := service(entry[1:])
		if err != nil {
			return fmt.Errorf("%w (entries of a list have a comma and a blank between them)", err)
		}
		c.List, entry = append(c.List, Entry{entry[0], s}), nil
	}
	return nil
}
