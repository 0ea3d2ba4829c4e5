package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/controller/agent"
	"github.com/portcullis/portcullis/controller/api"
)

// printStatus writes a status; for people in colour, if they look at a terminal.
func printStatus(w io.Writer, s *api.Status, f format) error {
	if f == formatJSON {
		return printJSON(w, s)
	}
	_, err := io.WriteString(w, statusText(s, paintFor(w)))
	return err
}

// statusText is a status for people: trouble first.
func statusText(s *api.Status, paint paint) string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(t, "%s:\t%s\n", label, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n\t"))
	}
	line("state", "%s", s.State)
	tellTrouble(s, line)
	line("bridge", "%s on %s, Open vSwitch %s", s.Bridge, s.Host, orUnknown(s.OVS))
	if p := s.Policy; p.Digest == "" {
		line("policy", "%s: none in force yet", p.Source)
	} else {
		line("policy", "%s (%d groups, %d instances), digest %s, in force since %s", p.Source, p.Groups, p.Instances, p.Digest, moment(p.LoadedAt))
	}
	line("last read", "%s", lastRead(s))
	line("revision", "%d", s.Revision)
	line("flows", "%d", s.Flows)
	if a := s.Apply; !a.At.IsZero() {
		line("last apply", "%s: %d added, %d deleted in %.3f s%s", moment(a.At), a.Adds, a.Deletes, a.Seconds, failed(a.Error))
	}
	line("since start", "%d applied, %d failed; %d flows repaired that somebody else had changed", s.Counters.Applies, s.Counters.AppliesFailed,
		s.Counters.DriftRepaired)
	for _, u := range s.Uplinks {
		line("uplink", "%s\t%s", u.Name, orElse(u.Reason, fmt.Sprintf("OpenFlow port %d", u.OFPort)))
	}
	for _, w := range slices.Concat(s.OVSWarnings, s.Policy.Warnings) {
		line("warning", "%s", w)
	}
	_ = t.Flush() // of a buffer
	return paint.status(s, b.String()) + portsText(s.Ports, paint)
}

// tellTrouble writes what keeps the state from being "in sync", and what is likely not meant or missing though it is.
func tellTrouble(s *api.Status, line func(label, format string, args ...any)) {
	if s.Error != "" {
		line("error", "%s", s.Error)
	}
	if s.State != agent.StateStarting && !s.SwitchConnected {
		line("error", "not connected to the switch: systemctl status openvswitch-switch")
	}
	if s.State != agent.StateStarting && !s.DatabaseConnected {
		line("error", "not connected to OVSDB: systemctl status ovsdb-server openvswitch-switch")
	}
	for _, e := range s.Policy.Errors {
		line("not valid", "%s", e)
	}
	for _, r := range s.Policy.Refused {
		line("refused", "%s", r)
	}
	for _, w := range s.Warnings {
		line("warning", "%s", w)
	}
}

func lastRead(s *api.Status) string {
	at := "never"
	if !s.Policy.ReadAt.IsZero() {
		at = moment(s.Policy.ReadAt)
	}
	if n := len(s.Policy.Errors); n > 0 {
		at += fmt.Sprintf(", not valid (mistakes: %d, above); the policy in force stays", n)
	}
	return fmt.Sprintf("%s; since start %d valid, %d not", at, s.Counters.Reloads, s.Counters.ReloadsFailed)
}

func failed(reason string) string {
	if reason == "" {
		return ""
	}
	return ", failed: " + reason
}

func moment(t time.Time) string { return t.Local().Format(time.RFC3339) }

// urgency orders ports: trouble first.
var urgency = map[agent.PortState]int{agent.PortError: -2, agent.PortPending: -1}

// portsText is a table of the ports, those with trouble first, and how many there are of each state.
func portsText(ports []api.PortStatus, paint paint) string {
	if len(ports) == 0 {
		return "\nno local ports\n"
	}
	ports = slices.Clone(ports)
	slices.SortStableFunc(ports, func(a, b api.PortStatus) int { return cmp.Compare(urgency[a.State], urgency[b.State]) })
	count := map[agent.PortState]int{}
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PORT\tINSTANCE\tSTATE\tOFPORT\tZONE\tEPOCH\tREASON")
	for _, p := range ports {
		count[p.State]++
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", p.Name, p.Instance, p.State, p.OFPort, p.Zone, p.Epoch, strings.ReplaceAll(p.Reason, "\n", "; "))
	}
	_ = t.Flush() // of a buffer
	summary := fmt.Sprintf("\nports: %d applied, %d pending, %d in error\n", count[agent.PortApplied], count[agent.PortPending],
		count[agent.PortError])
	return summary + paint.ports(ports, b.String())
}

// paint colours lines, after they were aligned; the zero paint does not.
type paint struct{ on bool }

// The colours (ECMA-48, select graphic rendition).
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// paintFor colours for terminals only, and nothing if the user wants none (no-color.org).
func paintFor(w io.Writer) paint {
	return paint{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

func (p paint) line(colour, text string) string {
	if !p.on || colour == "" {
		return text
	}
	return colour + text + plain
}

// status colours what is in front of the ports.
func (p paint) status(s *api.Status, text string) string {
	byState := map[agent.State]string{agent.StateInSync: green, agent.StateDegraded: red, agent.StatePending: yellow,
		agent.StateStarting: yellow}
	byLabel := map[string]string{"state": byState[s.State], "error": red, "not valid": red, "refused": red, "warning": yellow}
	return p.each(text, func(_ int, line string) string {
		label, _, _ := strings.Cut(line, ":")
		return byLabel[label]
	})
}

// ports colours the lines of a table with a headline.
func (p paint) ports(ports []api.PortStatus, text string) string {
	colours := map[agent.PortState]string{agent.PortError: red, agent.PortPending: yellow}
	return p.each(text, func(n int, _ string) string {
		if n == 0 || n > len(ports) {
			return ""
		}
		return colours[ports[n-1].State]
	})
}

// each colours each line as it shall be.
func (p paint) each(text string, colour func(n int, line string) string) string {
	var b strings.Builder
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString(p.line(colour(n, line), line) + "\n")
	}
	return b.String()
}

func orUnknown(s string) string { return orElse(s, "(version not known)") }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
