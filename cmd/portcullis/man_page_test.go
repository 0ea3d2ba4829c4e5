package main

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// The manual page of a command, made of its help: TestManualPages writes them. It depends on the
// help alone, so that the same help is the same bytes.

const (
	manFiles = `.TP
.I /etc/portcullis/portcullis.yaml
settings of this host, unless \-\-config names others;
.BR portcullis.yaml (5)
.TP
.I /etc/portcullis/policy.yaml
the policy, unless the settings name another file or folder;
.BR portcullis\-policy (5)
.TP
.I /run/portcullis/portcullis.sock
where the daemon answers the commands; root's alone
`
	manEnvironment = `.TP
.B PORTCULLIS_KEY
overrides the key of the settings, in capitals: PORTCULLIS_BRIDGE, PORTCULLIS_LOG_LEVEL for level in log
.TP
.B OVS_RUNDIR
folder of Open vSwitch's sockets, where the settings do not name them
.TP
.B NO_COLOR
no colours, also on a terminal
`
	manDocs = "The documentation is in\n.IR /usr/share/doc/portcullis .\n"
	// manExit is what exit codes mean where a command's help does not say more.
	manExit = "0 yes or done, 1 no or an error, 2 wrong usage."
)

// manName is the name of a command's page.
func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is the page of a command.
func manPage(cmd *cobra.Command) []byte {
	var b strings.Builder
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&b, ".SH %s\n%s", title, text)
		}
	}
	about, exits := splitExitCodes(cmp.Or(cmd.Long, cmd.Short+"."))
	fmt.Fprintf(&b, ".TH %q 8 \"\" Portcullis Portcullis\n", strings.ToUpper(manName(cmd)))
	section("NAME", roff(manName(cmd))+` \- `+roff(lowerFirst(cmd.Short))+"\n")
	section("SYNOPSIS", synopsis(cmd))
	section("DESCRIPTION", paragraphs(about))
	section("COMMANDS", manCommands(cmd))
	section("OPTIONS", manOptions(cmd.LocalFlags())+manOptions(cmd.InheritedFlags()))
	section("EXAMPLES", verbatim(cmd.Example))
	section("EXIT STATUS", paragraphs(exits))
	section("FILES", manFiles)
	section("ENVIRONMENT", manEnvironment)
	section("SEE ALSO", seeAlso(cmd)+".PP\n"+manDocs)
	return []byte(b.String())
}

// splitExitCodes takes what a help says of exit codes out of it.
func splitExitCodes(long string) (about, exits string) {
	at := regexp.MustCompile(`(?s)(?:^|\s)Exit codes?: ([^\n]+(?:\n[^\n]+)*)`).
		FindStringSubmatchIndex(long)
	if at == nil {
		return long, manExit
	}
	exits = long[at[2]:at[3]]
	return strings.TrimSpace(long[:at[0]]) + "\n" + long[at[1]:],
		strings.ToUpper(exits[:1]) + exits[1:]
}

func synopsis(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return ".B " + roff(cmd.Name()) + "\n.I COMMAND\n[\\fIOPTION\\fR ...]\n"
	}
	line := strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())
	return ".B " + roff(cmd.CommandPath()) + "\n" +
		roff(strings.TrimSpace(strings.ReplaceAll(line, "[flags]", "[OPTION ...]"))) + "\n"
}

// manCommands says what each command below does.
func manCommands(cmd *cobra.Command) string {
	var b strings.Builder
	list := func(title, group string) {
		for _, sub := range cmd.Commands() {
			if !sub.IsAvailableCommand() || sub.GroupID != group {
				continue
			}
			if title != "" {
				fmt.Fprintf(&b, ".SS %s\n", roff(title))
				title = ""
			}
			fmt.Fprintf(&b, ".TP\n.BR %s (8)\n%s\n", roff(manName(sub)), roff(sub.Short))
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
	list("", "")
	return b.String()
}

// manOptions lists flags as one types them: one that is on or off has no value.
func manOptions(flags *pflag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(&b, `\fB\-%s\fR, `, f.Shorthand)
		}
		fmt.Fprintf(&b, `\fB%s\fR`, roff("--"+f.Name))
		if value != "" {
			fmt.Fprintf(&b, ` \fI%s\fR`, roff(value))
		}
		b.WriteString("\n" + roff(usage))
		if !isZero(f) {
			fmt.Fprintf(&b, " (default %s)", roff(f.DefValue))
		}
		b.WriteString("\n")
	})
	return b.String()
}

// isZero says whether a flag that is not given has no value worth telling.
func isZero(f *pflag.Flag) bool {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return true
	}
	return false
}

func seeAlso(cmd *cobra.Command) string {
	pages := []string{"portcullis.yaml (5)", "portcullis-policy (5)", "ovs-vswitchd (8)"}
	if cmd.HasParent() {
		pages = append([]string{"portcullis (8)"}, pages...)
	}
	return ".BR " + strings.ReplaceAll(strings.Join(pages, ",\n.BR "), "-", `\-`) + "\n"
}

// paragraphs sets text: lines that are indented stay as they are, others are filled.
func paragraphs(text string) string {
	var b strings.Builder
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		switch {
		case p == "":
			continue
		case strings.HasPrefix(p, " ") || strings.HasPrefix(p, "\t"):
			b.WriteString(verbatim(p))
		default:
			b.WriteString(".PP\n" + roff(p) + "\n")
		}
	}
	return b.String()
}

// verbatim sets text line by line; "" stays "".
func verbatim(text string) string {
	if text = strings.Trim(text, "\n"); text == "" {
		return ""
	}
	return ".PP\n.nf\n" + roff(text) + "\n.fi\n"
}

// roff has text stand for itself: no request, no escape, and a minus that can be copied.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	return regexp.MustCompile(`(?m)^([.'])`).ReplaceAllStringFunc(text, func(s string) string {
		return `\&` + s
	})
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// A page says what its reader looks for, and nothing as cobra would: on a command with each kind of
// flag, and on one with commands.
func TestManualPageOfACommand(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "Does things", Long: "It does.\n\nExit codes: 0, 1."}
	sub := &cobra.Command{Use: "ask WHO [flags]", Short: "Ask somebody", Run: func(*cobra.Command,
		[]string) {
	}, Long: ".start\n\n    indented -x\n\nMore. Exit codes: 0 yes,\n1 no.", Example: "  tool ask me -v"}
	sub.Flags().BoolP("live", "l", false, "ask now")
	sub.Flags().Duration("timeout", 30e9, "how `LONG`")
	root.AddCommand(sub)

	page := string(manPage(sub))
	require.Contains(t, page, ".SH NAME\ntool\\-ask \\- ask somebody\n")
	require.Contains(t, page, ".SH SYNOPSIS\n.B tool ask\nWHO [OPTION ...]\n")
	require.Contains(t, page, ".PP\n\\&.start\n.PP\n.nf\n    indented \\-x\n.fi\n.PP\nMore.\n")
	require.Contains(t, page, ".TP\n\\fB\\-l\\fR, \\fB\\-\\-live\\fR\nask now\n")
	require.Contains(t, page, "\\fB\\-\\-timeout\\fR \\fILONG\\fR\nhow LONG (default 30s)\n")
	require.Contains(t, page, ".SH EXAMPLES\n.PP\n.nf\n  tool ask me \\-v\n.fi\n")
	require.Contains(t, page, ".SH EXIT STATUS\n.PP\n0 yes,\n1 no.\n")
	require.NotContains(t, page, "=false")
	top := string(manPage(root))
	require.Contains(t, top, ".SH COMMANDS\n.TP\n.BR tool\\-ask (8)\nAsk somebody\n")
}

// Every page of a command has the sections that its reader looks for.
func TestManualPagesAreComplete(t *testing.T) {
	for name, page := range commandPages() {
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS",
			"EXIT STATUS", "FILES", "ENVIRONMENT", "SEE ALSO"} {
			require.Contains(t, string(page), "\n.SH "+section+"\n", name)
		}
	}
}
