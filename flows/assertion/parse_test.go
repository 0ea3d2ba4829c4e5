package assertion

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portcullis/portcullis/flows/explain"
)

func TestParse(t *testing.T) {
	type short struct {
		from, to, service string
		expected          explain.Outcome
		family            Family
	}
	for line, want := range map[string]short{
		"outside -> db-1 tcp/3306 denied":            {"outside", "db-1", "tcp/3306", explain.Denied, ""},
		"frontend → backend mysql admitted":          {"frontend", "backend", "mysql (tcp/3306)", explain.Admitted, ""},
		"backend <- frontend tcp 3306 ADMITTED":      {"frontend", "backend", "tcp/3306", explain.Admitted, ""},
		`"web 1" -> any denied ipv6`:                 {"web 1", "any", "any", explain.Denied, IPv6},
		" 10.0.0.0/8   ->  ::/0  any  denied  IPv4 ": {"10.0.0.0/8", "::/0", "any", explain.Denied, IPv4},
	} {
		c, err := Parse(line)
		require.NoError(t, err, line)
		require.Equal(t, want, short{c.From, c.To, c.Service.String(), c.Expected, c.Family}, line)
		require.False(t, c.IsList)
	}
}

func TestParseLists(t *testing.T) {
	type entry struct{ who, service string }
	for line, want := range map[string]struct {
		from, to string
		list     []entry
	}{
		"db-1 <- only frontend mysql, mgmt ssh": {"", "db-1",
			[]entry{{"frontend", "mysql (tcp/3306)"}, {"mgmt", "ssh (tcp/22)"}}},
		`db-1 -> only "web 1", outside tcp/80,443, b tcp 22`: {"db-1", "",
			[]entry{{"web 1", "any"}, {"outside", "tcp/80,tcp/443"}, {"b", "tcp/22"}}},
		"db-1 <- nobody": {"", "db-1", nil},
		"db-1 → nobody":  {"db-1", "", nil},
	} {
		c, err := Parse(line)
		require.NoError(t, err, line)
		require.True(t, c.IsList)
		var list []entry
		for _, e := range c.List {
			list = append(list, entry{e.Who, e.Service.String()})
		}
		require.Equal(t, want.list, list, line)
		require.Equal(t, [2]string{want.from, want.to}, [2]string{c.From, c.To}, line)
	}
}

func TestParseSaysWhatWouldBeRight(t *testing.T) {
	for line, want := range map[string]string{
		"":                           "write 'A -> B SERVICE admitted'",
		"a b mysql denied":           "there is no arrow",
		"a->b mysql denied":          "there is no arrow",
		"web 1 -> db-1 mysql denied": "one end stands before the arrow, not 2 words",
		"-> db-1 mysql denied":       "not 0 words",
		"a ->":                       "nothing behind the arrow",
		"a -> admitted":              "no end behind the arrow",
		"a -> b mysql allowed":       `must be admitted or denied, not "allowed"; did you mean "admitted"?`,
		"a -> b mysql block":         `did you mean "denied"?`,
		"a -> b mysql admited":       `did you mean "admitted"?`,
		"a -> b mysql":               "must be admitted or denied",
		"a -> b mysqk denied":        `there is no service "mysqk"; did you mean "mysql"?`,
		"a -> b 80 denied":           "did you mean tcp/80, udp/80 or protocol/80?",
		"a -> b tcp 80 443 denied":   "a service is one word",
		"a <- only":                  "only whom?",
		"a <- only b mysql,":         "", // a comma at the end of a list is not in the way
		"a <- only b mysql,, c ssh":  "there is no service",
		"a <- only , b":              "an entry of the list is empty",
		"a <- only b mysql c ssh":    "a service is one word",
		`"a -> b mysql denied`:       "a quote is not closed",
	} {
		_, err := Parse(line)
		if want == "" {
			require.NoError(t, err, line)
			continue
		}
		require.ErrorContains(t, err, want, line)
	}
}
