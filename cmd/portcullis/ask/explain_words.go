package ask

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
)

// The words of a question: which of them are ends, and which is the service or the conversation.
// explain reads its arguments so; completion offers them.

// words takes the arguments: A B SERVICE, A CONVERSATION; ends that flags name are not among them.
// The last of them is what is asked about, if it is not an end.
func (q *explainOptions) words(args []string) (word string, err error) {
	word = explain.AnyEnd
	take := func(end *string) {
		if *end == "" && len(args) > 0 {
			*end, args = args[0], args[1:]
		}
	}
	isLast := func() bool { // what is asked about, though an end is missing
		return len(args) == 1 && q.from+q.to != "" && (isConversation(args[0]) || isService(args[0]))
	}
	for _, end := range []*string{&q.from, &q.to} {
		if !isLast() {
			take(end)
		}
	}
	switch len(args) {
	case 0:
	case 1:
		word = args[0]
	default:
		return "", fmt.Errorf("explain takes two ends and a service, such as 'explain web-1 db-1 "+
			"mysql'; %q is too much", args[1])
	}
	return word, q.endsGiven(word)
}

// endsGiven says what is missing of the ends; conversations have words of their own for that.
func (q *explainOptions) endsGiven(word string) error {
	if isConversation(word) {
		return nil
	}
	switch {
	case q.from == "" && q.to == "":
		return errors.New("explain needs two ends, such as 'explain web-1 db-1 mysql', or --flow")
	case q.from == "" || q.to == "":
		return errors.New("explain needs two ends: --from and --to, or 'explain FROM TO SERVICE'")
	}
	return nil
}

// isService says whether a word is a protocol with something behind it, which is hardly the name of
// an end.
func isService(word string) bool {
	_, err := explain.ParseAsked(word)
	return err == nil && strings.ContainsAny(word, "/:")
}

func isConversation(word string) bool {
	_, ok := explain.ParseConversation(strings.ToLower(word))
	return ok
}

// endOf finds an end; the error says where it was asked for, and what the word is instead.
func endOf(r explain.Reader, flag, name string) (explain.End, error) {
	end, err := r.FindEnd(name)
	if err == nil {
		return end, nil
	}
	if _, bad := explain.ParseAsked(name); bad == nil && name != "" {
		return end, fmt.Errorf("%s: %w; that is a service, which stands behind both ends: 'explain web-1 db-1 %s'", flag,
			err, name)
	}
	if near, ok := wording.Nearest(name, conversationWords()); ok {
		return end, fmt.Errorf("%s: %w; or did you mean the conversation %q?", flag, err, near)
	}
	return end, fmt.Errorf("%s: %w", flag, err)
}

// completeWords offers ends, and then what an explanation may be asked about.
func completeWords(f *cli.Files) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion,
		cobra.ShellCompDirective) {
		ends := 0
		for _, flag := range []string{"from", "to"} {
			if !cmd.Flags().Changed(flag) {
				ends++
			}
		}
		var offers []cobra.Completion
		if len(args) < ends {
			offers, _ = f.CompletePeers(cmd, args, word)
		}
		if len(args) == ends || len(args) == ends-1 {
			offers = append(offers, conversationOffers()...)
		}
		if len(args) == ends {
			offers = append(offers, serviceOffers()...)
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// serviceOffers are the names of services and protocols.
func serviceOffers() []cobra.Completion {
	offers := []cobra.Completion{"any"}
	for _, n := range policy.NamedServices() {
		offers = append(offers, cobra.CompletionWithDesc(n.Name, explain.Ask(n.Services...).String()))
	}
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP,
		policy.ICMPv6, policy.GRE, policy.ESP, policy.AH, policy.IPIP} {
		offers = append(offers, p.String())
	}
	return offers
}

func conversationOffers() []cobra.Completion {
	var offers []cobra.Completion
	for _, c := range explain.Conversations() {
		offers = append(offers, cobra.CompletionWithDesc(c.Word, c.Summary))
	}
	return offers
}
