package policytest

// Stories in text, one a file of stories/: policies that follow one another, packets, and what
// becomes of them. The tests of flows tell them to the specification and to the fake switch, those
// of integration to a real one with real packets. Invariant: a line that is not understood is an
// error.

import (
	"embed"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/portcullis/portcullis/flows/policy"
)

//go:embed stories
var stories embed.FS

// Script is a story that was read.
type Script struct {
	Name  string // of the file, without its ending
	Title string
	Steps []Step
}

// StepKind is what happens in a step.
type StepKind uint8

// The kinds of steps, as stories/README says them.
const (
	SetsPolicy StepKind = iota // policy NAME
	Arrives                    // FROM -> TO SERVICE arrives
	IsDenied                   // FROM -> TO SERVICE denied
	Opens                      // open NAME FROM -> TO SERVICE
	GoesOn                     // NAME goes on
	IsCut                      // NAME is cut
)

// Step is a line of a story.
type Step struct {
	Line       int
	Kind       StepKind
	Policy     string // the text of the policy file that is in force from here on
	Connection string // its name
	From, To   string
	As         string // whose address the sender claims; "" = its own
	Service    ScriptService
}

// ScriptService is what a packet is of: a port of TCP or UDP, or a ping of the family at hand.
type ScriptService struct {
	Protocol policy.Protocol
	Port     uint16
	IsPing   bool
}

// String writes the service as a story does.
func (s ScriptService) String() string {
	if s.IsPing {
		return "ping"
	}
	return fmt.Sprintf("%s/%d", s.Protocol, s.Port)
}

// Outsider is a host beyond the uplink that stories may name.
type Outsider struct {
	Name      string
	Number    byte // the last one of its MAC
	Addresses []string
}

// Outsiders are all of them.
func Outsiders() []Outsider {
	return []Outsider{
		{"router", 1, []string{"203.0.113.1", "2001:db8::1"}},
		{"client", 2, []string{"198.51.100.2", "2001:db8:2::2"}},
		{"attacker", 6, []string{"198.51.100.66", "2001:db8:2::66"}},
	}
}

// ScriptHost is the host that the instances of stories are of.
const ScriptHost = "hv1"

// ScriptSite is what is around it.
func ScriptSite() policy.Site {
	return policy.Site{Host: ScriptHost, Gateways: []netip.Addr{Addr("203.0.113.1"),
		Addr("2001:db8::1")}}
}

// Scripts reads the stories of a folder of stories/.
func Scripts(folder string) ([]Script, error) {
	names, err := fs.Glob(stories, path.Join("stories", folder, "*.txtar"))
	if err != nil {
		return nil, err
	}
	var out []Script
	for _, name := range names {
		data, err := stories.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := readScript(txtar.Parse(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.Name = strings.TrimSuffix(path.Base(name), ".txtar")
		out = append(out, s)
	}
	return out, nil
}

// readScript reads the title, and the steps behind the first empty line.
func readScript(a *txtar.Archive) (Script, error) {
	title, _, _ := strings.Cut(string(a.Comment), "\n\n")
	out := Script{Title: strings.TrimSpace(title)}
	begin := strings.Count(title, "\n") + 2
	for n, line := range strings.Split(string(a.Comment), "\n") {
		if n < begin || strings.TrimSpace(line) == "" {
			continue
		}
		s, err := readStep(strings.Fields(line), a.Files)
		if err != nil {
			return out, fmt.Errorf("line %d: %q: %w", n+1, line, err)
		}
		s.Line = n + 1
		out.Steps = append(out.Steps, s)
	}
	if len(out.Steps) == 0 || out.Steps[0].Kind != SetsPolicy {
		return out, fmt.Errorf("a story begins with a policy")
	}
	return out, nil
}

// readStep reads a line.
func readStep(words []string, files []txtar.File) (s Step, err error) {
	switch n := len(words); {
	case n == 2 && words[0] == "policy":
		s.Policy, err = policyText(words[1], files)
		return s, err
	case n == 3 && words[1] == "goes" && words[2] == "on":
		return Step{Kind: GoesOn, Connection: words[0]}, nil
	case n == 3 && words[1] == "is" && words[2] == "cut":
		return Step{Kind: IsCut, Connection: words[0]}, nil
	case n == 6 && words[0] == "open":
		s, err = readWay(words[2:])
		s.Kind, s.Connection = Opens, words[1]
		return s, err
	case n > 4 && words[n-1] == "arrives":
		s, err = readWay(words[:n-1])
		s.Kind = Arrives
		return s, err
	case n > 4 && words[n-1] == "denied":
		s, err = readWay(words[:n-1])
		s.Kind = IsDenied
		return s, err
	}
	return s, errStep
}

var errStep = fmt.Errorf("no step of a story: see stories/README")

// policyText returns a policy file of the story, with the instances of all if it has none itself.
func policyText(name string, files []txtar.File) (string, error) {
	text := func(name string) (string, bool) {
		n := slices.IndexFunc(files, func(f txtar.File) bool { return f.Name == name })
		if n < 0 {
			return "", false
		}
		return string(files[n].Data), true
	}
	out, known := text(name)
	if !known {
		return "", fmt.Errorf("there is no file %s", name)
	}
	if !strings.HasPrefix(out, "instances:") && !strings.Contains(out, "\ninstances:") {
		all, _ := text("instances")
		out += all
	}
	return out, nil
}

// readWay reads FROM [as OTHER] -> TO SERVICE.
func readWay(words []string) (s Step, err error) {
	if len(words) == 6 && words[1] == "as" {
		s.As = words[2]
		words = slices.Delete(slices.Clone(words), 1, 3)
	}
	if len(words) != 4 || words[1] != "->" {
		return s, errStep
	}
	s.From, s.To = words[0], words[2]
	s.Service, err = readService(words[3])
	return s, err
}

func readService(text string) (ScriptService, error) {
	if text == "ping" {
		return ScriptService{IsPing: true}, nil
	}
	name, number, _ := strings.Cut(text, "/")
	protocols := map[string]policy.Protocol{"tcp": policy.TCP, "udp": policy.UDP}
	port, err := strconv.ParseUint(number, 10, 16)
	if protocol := protocols[name]; err == nil && protocol != 0 {
		return ScriptService{Protocol: protocol, Port: uint16(port)}, nil
	}
	return ScriptService{}, fmt.Errorf("%s: want tcp/PORT, udp/PORT or ping", text)
}
