package policyfile

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

const (
	MaxNameLength      = 255 // characters of a group's or instance's name and of a description
	MaxInterfaceLength = 15  // bytes: IFNAMSIZ of linux/if.h without the terminating NUL
)

// readName reads the name of a group or instance.
func readName(n strictyaml.Node) (string, bool) {
	s, ok := n.Text()
	if !ok {
		return "", false
	}
	problem := BadText(s)
	switch {
	case s == "":
		problem = "must not be empty"
	case problem == "" && strings.TrimSpace(s) != s:
		problem = "must not begin or end with a space"
	}
	if problem != "" {
		n.Errorf("%s", problem)
	}
	return s, problem == ""
}

// readDescription reads one line of free text.
func readDescription(n strictyaml.Node) string {
	s, ok := n.Text()
	s = strings.TrimSpace(s)
	if problem := BadText(s); ok && problem != "" {
		n.Errorf("%s", problem)
		return ""
	}
	return s
}

// badText says why text cannot be a name or description, or "". Characters that a terminal would obey or not show are refused, as
// these texts end up in logs and tables.
func BadText(s string) string {
	if length := utf8.RuneCountInString(s); length > MaxNameLength {
		return "has " + wording.Count(length, "character") + "; at most 255"
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) || r == utf8.RuneError {
			return "must not hold control or invisible characters, such as " + strings.Trim(strings.ToUpper(wording.QuoteRune(r)), `'`)
		}
	}
	return ""
}

// readInterfaceName reads the name of a network interface.
func readInterfaceName(n strictyaml.Node) (string, bool) {
	s, ok := n.Text()
	if !ok {
		return "", false
	}
	if problem := BadInterface(s); problem != "" {
		n.Errorf("%s", problem)
		return "", false
	}
	return s, true
}

// badInterface says why a name cannot be an interface's, or "": what Linux refuses (dev_valid_name), and what is not printable ASCII
// or would need quotes in ovs-vsctl.
func BadInterface(s string) string {
	switch {
	case s == "":
		return "must not be empty; the name of an interface, such as tap-web-1"
	case len(s) > MaxInterfaceLength:
		return "is " + wording.Quote(s) + " of " + wording.Count(len(s), "byte") + "; the name of an interface has at most 15"
	case s == "." || s == "..":
		return "must not be " + wording.Quote(s)
	}
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune(`/:%"'\,`, r) {
			return "is " + wording.Quote(s) + "; the name of an interface has no " + wording.QuoteRune(r)
		}
	}
	return ""
}
