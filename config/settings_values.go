// Which single values of settings are right. Called by settings_read.go. Each function says what is
// wrong and what would be right, or "".

package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/config/strictyaml"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// badOwnAddress is of an address and a port that others are told.
func badOwnAddress(s string) string {
	at, err := netip.ParseAddrPort(s)
	if err != nil || at.Addr().IsUnspecified() || at.Port() == 0 {
		return "is " + wording.Quote(s) + "; must be an address of this host and a port, such as " +
			"192.0.2.11:9478, as the API server is told it"
	}
	return ""
}

func badHost(s string) string {
	if problem := policy.BadText(s); problem != "" {
		return problem
	}
	if strings.TrimSpace(s) != s {
		return "must not begin or end with a space"
	}
	return ""
}

// badPolicy says why a text is neither a path nor a policy database, or "".
func badPolicy(s string) string {
	list, isDatabase := strings.CutPrefix(s, databasePrefix)
	if !isDatabase {
		return badPath(s)
	}
	for _, endpoint := range strings.Split(list, ",") {
		if problem := badEndpoint("tcp", "ssl")(endpoint); problem != "" {
			return problem + ", after ovsdb: or a comma"
		}
	}
	return ""
}

func badPath(s string) string {
	if s == "" {
		return "must not be empty; the path of a policy file, or of a folder with policy files"
	}
	if strings.ContainsRune(s, 0) {
		return "must not hold a NUL"
	}
	return ""
}

func badDatapathType(s string) string {
	problem := oneOf(datapathTypes...)(s)
	switch {
	case problem == "":
		return ""
	case strings.EqualFold(s, "kernel"):
		return problem + `; the kernel's is "system", as when it is left out`
	case strings.EqualFold(s, "userspace") || strings.EqualFold(s, "dpdk"):
		return problem + `; that in userspace is "netdev"`
	}
	return problem
}

func oneOf(words ...string) func(string) string {
	return func(s string) string {
		if slices.Contains(words, s) {
			return ""
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = wording.Quote(w)
		}
		return "is " + wording.Quote(s) + "; must be one of " + strings.Join(quoted, ", ") +
			wording.DidYouMean(s, words)
	}
}

// orEmpty makes the empty text valid.
func orEmpty(bad func(string) string) func(string) string {
	return func(s string) string {
		if s == "" {
			return ""
		}
		return bad(s)
	}
}

// badEndpoint says why a text is no endpoint as the tools of Open vSwitch take them, a unix socket
// or by one of some methods, or "".
func badEndpoint(methods ...string) func(string) string {
	return func(s string) string {
		method, rest, _ := strings.Cut(s, ":")
		switch {
		case method == "unix":
			return badSocket(s)
		case !slices.Contains(methods, method):
			return "is " + wording.Quote(s) + "; must be unix:/PATH, " +
				strings.Join(methods, ":HOST:PORT or ") + ":HOST:PORT"
		}
		if problem := badHostPort(rest); problem != "" || strings.HasPrefix(rest, ":") {
			return "is " + wording.Quote(s) + "; must be " + method + ":HOST:PORT, such as " +
				method + ":127.0.0.1:6640"
		}
		return ""
	}
}

// badSocket says why a text is no endpoint of a unix socket, or "".
func badSocket(s string) string {
	const longest = 107 // bytes: sun_path of sys/un.h without the terminating NUL
	path, ok := strings.CutPrefix(s, "unix:")
	switch {
	case !ok || !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0):
		return "is " + wording.Quote(s) +
			"; must be unix: and an absolute path, such as unix:/run/portcullis/portcullis.sock"
	case len(path) > longest:
		return "has a path of " + wording.Count(len(path), "byte") +
			"; that of a socket has at most 107"
	}
	return ""
}

// badHostPort says why a text is no host:port, or "". The host may be empty: every address.
func badHostPort(s string) string {
	host, port, err := net.SplitHostPort(s)
	n, isNumber := strictyaml.Decimal(port)
	if alone, isPort := strictyaml.Decimal(s); isPort && alone > 0 && alone <= 65535 {
		return "is " + s + ", a port alone; write 127.0.0.1:" + s + " for this host, or :" + s +
			" for every address"
	}
	if err != nil || !isNumber || n < 0 || n > 65535 || strings.ContainsAny(host, " /\x00") {
		return "is " + wording.Quote(s) +
			"; must be HOST:PORT, such as 127.0.0.1:9477 or [::1]:9477"
	}
	return ""
}
