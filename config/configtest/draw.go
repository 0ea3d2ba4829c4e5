package configtest

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// DrawFile makes a policy file of a universe so small that files often contradict each other.
func DrawFile(t *rapid.T) string {
	var b strings.Builder
	if rapid.IntRange(0, 19).Draw(t, "broken") == 0 {
		return rapid.SampledFrom([]string{"", "groups: 1", "groups: [{name: g0",
			"instances: [{nme: i0}]",
			"groups: [{name: g1}]\ninstances: [{name: 1, groups: [g9]}]"}).Draw(t, "how")
	}
	b.WriteString("groups:\n")
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		fmt.Fprintf(&b,
			"  - {name: g%d, rules: [{direction: ingress, protocol: any, group: %s}]}\n",
			drawSparse(t, 200), drawGroup(t))
	}
	b.WriteString("instances:\n")
	for range rapid.IntRange(0, 3).Draw(t, "instances") {
		n := drawSparse(t, 200)
		fmt.Fprintf(&b,
			"  - {name: i%d, %s groups: [%s], ports: [{name: p%d, mac: '02:00:00:00:00:%02x', "+
				"%s}]}\n", n,
			rapid.SampledFrom([]string{"", "host: h1,", "host: h2,"}).Draw(t, "host"), drawGroup(t),
			drawSparse(t, 200), drawSparse(t, 200), drawAddresses(t))
	}
	text := b.String()
	text = strings.ReplaceAll(text, "groups:\ninstances", "groups: []\ninstances")
	return strings.TrimSuffix(text, "instances:\n")
}

// drawGroup names a group, mostly one that always is there.
func drawGroup(t *rapid.T) string {
	return rapid.SampledFrom(append(slices.Repeat([]string{"base"}, 30), "g1")).Draw(t, "group")
}

// drawSparse returns a number that seldom was drawn before.
func drawSparse(t *rapid.T, of int) int { return rapid.IntRange(0, of-1).Draw(t, "n") }

func drawAddresses(t *rapid.T) string {
	address := func() string {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return fmt.Sprintf("10.0.0.%d/29", 8*rapid.IntRange(0, 31).Draw(t, "net"))
		case 1:
			return fmt.Sprintf("'2001:db8:%x::/48'", rapid.IntRange(0, 9).Draw(t, "net6"))
		case 2:
			return fmt.Sprintf("'fe80::ff:fe00:%x'", rapid.IntRange(0, 199).Draw(t, "local"))
		case 3:
			return fmt.Sprintf("'2001:db8:%x::1'", rapid.IntRange(0, 9).Draw(t, "v6"))
		}
		return fmt.Sprintf("10.0.%d.%d", rapid.IntRange(0, 3).Draw(t, "third"),
			rapid.IntRange(0, 255).Draw(t, "v4"))
	}
	out := "addresses: [" + address()
	if rapid.Bool().Draw(t, "two") {
		out += ", " + address()
	}
	out += "]"
	if rapid.Bool().Draw(t, "allowed") {
		out += ", allowed_addresses: [" + address()
		if rapid.Bool().Draw(t, "mac") {
			out += fmt.Sprintf(", {address: %s, mac: '02:00:00:00:00:%02x'}", address(),
				rapid.IntRange(0, 255).Draw(t, "other"))
		}
		out += ", 10.0.0.0/24]"[:rapid.SampledFrom([]int{1, 14}).Draw(t, "wide")]
		out = strings.TrimSuffix(out, ",")
		if !strings.HasSuffix(out, "]") {
			out += "]"
		}
	}
	return out
}

// Mutated damages a text at up to four places.
func Mutated(t *rapid.T, text string) string {
	insert := rapid.SampledFrom([]string{"- ", "  ", "{", "}", "[", "]", ": ", "\"", "'", "\t", "#",
		"&a ", "*a", "!!str ", "<<: ", "? ", "|", ">", "---\n", "null", "-1", "0", "\n", "\x00",
		"\xff",
		",", "%", "@", "0x", "::", "/", "name: x", "\r", "\u2028"})
	l := strings.Split(text, "\n")
	for range rapid.IntRange(1, 4).Draw(t, "mutations") {
		i := rapid.IntRange(0, len(l)-1).Draw(t, "line")
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			l = slices.Delete(l, i, i+1)
		case 1:
			l = slices.Insert(l, i, l[rapid.IntRange(0, len(l)-1).Draw(t, "copied")])
		case 2:
			at := rapid.IntRange(0, len(l[i])).Draw(t, "at")
			l[i] = l[i][:at] + insert.Draw(t, "inserted") + l[i][at:]
		case 3:
			l[i] = l[i][:rapid.IntRange(0, len(l[i])).Draw(t, "cut")]
		}
		if len(l) == 0 {
			break
		}
	}
	return strings.Join(l, "\n")
}
