package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
)

// conversationWords lists the words of all conversations.
func conversationWords() []string {
	var out []string
	for _, c := range explain.Conversations() {
		out = append(out, c.Word)
	}
	return out
}

// conversationHelp is a line for each conversation.
func conversationHelp() string {
	text := ""
	for _, c := range explain.Conversations() {
		text += fmt.Sprintf("  %-13s  %s\n", c.Word, c.Summary)
	}
	return text + fmt.Sprintf("  %-13s  frames of another EtherType: do they pass, to --to or to a group\n", "0x88cc")
}

// completeQuestions offers what an explanation may be asked about.
func completeQuestions(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	offers := []cobra.Completion{"any"}
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.GRE, policy.ESP, policy.AH, policy.IPIP} {
		offers = append(offers, p.String())
	}
	for _, c := range explain.Conversations() {
		offers = append(offers, cobra.CompletionWithDesc(c.Word, c.Summary))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// readTalk holds the command line of a conversation against itself.
func (q *question) readTalk() error {
	switch {
	case q.from == "":
		return fmt.Errorf("%s needs --from", q.talk.Word)
	case q.from == explain.AnyEnd || q.to == explain.AnyEnd:
		return fmt.Errorf("%s needs ends that are not %s", q.talk.Word, explain.AnyEnd)
	case q.to == "" && strings.HasSuffix(q.talk.Word, "-answer"):
		return errors.New(q.talk.Word + " needs --to, the client; --from is the server")
	}
	return nil
}

// endsText is the head of an answer.
func endsText(e explain.Explanation) string {
	if e.To == "" {
		return e.From
	}
	return e.From + " → " + e.To
}

// exchange prints a conversation of one port.
func (p *page) exchange(e explain.Exchange) {
	p.line("")
	p.line("%s", e.From)
	for _, s := range e.Steps {
		p.step(s)
	}
}

// step prints a frame: what it is, who gets it, and why nobody else does.
func (p *page) step(s explain.Step) {
	const indent = "           "
	word := "passes "
	if s.Verdict != explain.Admitted {
		word = "dropped"
	}
	p.line("  %s  %s", p.verdict(word), s.What)
	p.line("%s%s", indent, s.Frame)
	p.line("%senters by %s; %s", indent, entrance(s), heardBy(s))
	if s.Verdict != explain.Admitted {
		p.line("%swhy: %s", indent, s.Reason)
		if s.Missing != "" {
			p.line("%smissing: %s", indent, s.Missing)
		}
		if s.Optional != "" {
			p.line("%snot needed: %s", indent, s.Optional)
		}
	}
}

// entrance says by which port a frame enters, and of which host if that is another.
func entrance(s explain.Step) string {
	port := s.Enters
	if port == explain.UplinkEntrance {
		port = "an uplink"
	}
	if s.Host != "" {
		port += " of host " + s.Host
	}
	return port
}

func heardBy(s explain.Step) string {
	who := s.Ports
	if s.Uplink {
		who = append([]string{"the uplinks"}, who...)
	}
	if len(who) == 0 {
		return "nobody gets it"
	}
	return "got by " + some(who)
}
