package ask

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/flows/explain"
	"github.com/portcullis/portcullis/flows/policy"
	"github.com/portcullis/portcullis/flows/policy/wording"
	"github.com/portcullis/portcullis/flows/spec"
)

// The command explain: its question, from the command line to the exit code. explain_text.go prints
// the answer, explain_live.go asks the switch, explain_flow.go goes back from a flow.

// explainOptions is the command line of explain.
type explainOptions struct {
	from, to   string
	word       string // what is asked about, as it was written
	service    explain.Asked
	talk       explain.Conversation // instead of a service, if it has a word
	flow, dump string
	live       bool
	via        string // "", or the only kind of way: direct, router
	timeout    cli.Timeout
	out        term.Format
}

func explainHelp() string {
	return "Explain asks the daemon, which has the policy in memory, or reads the files where " +
		"there is none or it has others, and says for each pair " +
		"of addresses what the guards, the sender's egress and the\n" +
		"receiver's ingress say: which rule admits, with file:line:column, or which rule " +
		"comes nearest and what it lacks. Replies need no rule.\n\n" +
		"An END (FROM, TO) is an instance, a port, an address, a MAC or NAME@ADDRESS; a group, a " +
		"network, a host or outside: then all\n" +
		"of its addresses are asked; or any: then everybody at that end is listed who is " +
		"admitted.\n" +
		"A SERVICE is a name (mysql, ssh, ping, dns), tcp/3306 (also 3306/tcp, tcp:3306 or " +
		"tcp/mysql), udp/5000-5999,\n" +
		"tcp/80,443, icmp, icmp/8, icmpv6/128/0, esp, protocol/47 or any (the default).\n\n" +
		"A CONVERSATION is what hosts say on the link beside connections, and is told frame " +
		"by frame: who hears it, and what is missing. Without --to it\n" +
		"is held with the gateways or servers that the settings list; an END may also be " +
		"outside, somebody behind the uplinks:\n" +
		conversationHelp() + "\n" +
		"With --live every packet is also run through the switch (ofproto/trace), which must " +
		"agree: it enters where it would really enter, with the MACs\n" +
		"that it would have. --flow goes back from a flow of 'ovs-ofctl dump-flows' to the " +
		"rule, port or stage that it is of.\n\n" +
		"Exit codes: 0 admitted by every pair of addresses, 1 denied by some or an error, 2 " +
		"wrong usage. A list exits 0 if it names anybody."
}

// NewExplain makes the command explain.
func NewExplain(f *cli.Files) *cobra.Command {
	q := explainOptions{out: term.Table}
	cmd := &cobra.Command{
		Use:   "explain FROM TO [SERVICE] | FROM [TO] CONVERSATION | --flow COOKIE",
		Short: "Say why one end may open connections to another, or may not",
		Long:  explainHelp(),
		Example: "  portcullis explain web-1 db-1 mysql\n" +
			"  portcullis explain any db-1\n" +
			"  portcullis explain 198.51.100.7 web-1 tcp/443 --live\n" +
			"  portcullis explain web-1 dhcp\n" +
			"  portcullis explain --flow 0x5043c8e490dc",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeWords(f),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(q.timeout.Check(), q.read(args)); err != nil {
				return err
			}
			return cli.Outcome(q.answer(cmd, f))
		},
	}
	f.AddPolicy(cmd)
	f.Server.AddTo(cmd)
	cmd.Flags().StringVar(&q.from, "from", "", "who opens the connection")
	cmd.Flags().StringVar(&q.to, "to", "", "to whom")
	cmd.Flags().BoolVar(&q.live, "live", false, "ask the switch, too")
	cmd.Flags().StringVar(&q.via, "via", "",
		"the way between two instances, if you know it: direct or router")
	cmd.Flags().StringVar(&q.flow, "flow", "", "cookie of a flow (0x…)")
	cmd.Flags().StringVar(&q.dump, "dump", "",
		"with --flow: a file with the flows, instead of the switch")
	q.timeout.Flag(cmd, cli.AskTimeout)
	cmd.Flags().VarP(&q.out, "output", "o", "format")
	return cmd
}

// read holds the command line against itself.
func (q *explainOptions) read(args []string) error {
	switch {
	case q.via != "" && q.ways() == nil:
		return fmt.Errorf("--via is direct or router, not %q", q.via)
	case q.flow != "" && (q.from != "" || q.to != "" || q.live || q.via != "" || len(args) > 0):
		return errors.New("--flow stands alone")
	case q.flow != "":
		return nil
	case q.dump != "":
		return errors.New("--dump goes with --flow")
	}
	word, err := q.words(args)
	if err != nil {
		return err
	}
	q.word = word
	if talk, ok := explain.ParseConversation(strings.ToLower(word)); ok {
		q.talk = talk
		return q.readTalk()
	}
	return q.readService(word)
}

// readService reads what connections are asked about.
func (q *explainOptions) readService(word string) error {
	var err error
	if q.service, err = explain.ParseAsked(word); err != nil {
		if near, ok := wording.Nearest(word, conversationWords()); ok {
			return fmt.Errorf("%w; or did you mean %q?", err, near)
		}
		return err
	}
	switch {
	case q.live && (q.from == explain.AnyEnd || q.to == explain.AnyEnd):
		return errors.New("--live needs two ends that are not any")
	case q.live && !q.service.IsOne():
		return fmt.Errorf("--live needs one packet to send, such as tcp/80, icmp/8/0 or esp, "+
			"not %s", q.service)
	}
	return nil
}

// answer asks the daemon, or reads the files where there is none, and where the switch is asked.
func (q *explainOptions) answer(cmd *cobra.Command, f *cli.Files) error {
	work := cli.NewProgress(cmd.ErrOrStderr())
	defer work.End()
	if !q.live && q.flow == "" && len(f.Policies) == 0 && !f.HasServer() {
		if err := q.fromDaemon(cmd, f, work); !errors.Is(err, errAskFiles) {
			return err
		}
	}
	work = cli.NewProgress(cmd.ErrOrStderr())
	defer work.End()
	work.Stage("reading the policy")
	in, err := f.Load(cmd)
	if err != nil {
		return err
	}
	if q.flow != "" {
		work.End()
		return q.explainFlow(cmd, in)
	}
	work.Stage("looking up %d instances", len(in.Policy.Instances))
	w := spec.World{Policy: in.Policy, Site: in.Settings.Site()}
	r := explain.Read(w)
	if q.live {
		return q.answerLive(cmd, in, w, r)
	}
	out := cmd.OutOrStdout()
	painted := term.Painted{Writer: cli.Ending{Writer: out, Work: work}, Paint: term.PaintFor(out)}
	return q.answerFrom(painted, r)
}

// answerFrom answers from what was read.
func (q *explainOptions) answerFrom(out io.Writer, r explain.Reader) error {
	from, to, err := q.ends(r)
	if err != nil {
		return err
	}
	if q.isAboutMany(from, to) {
		return q.crowd(out, r, from, to)
	}
	if from.Any || to.Any {
		return q.list(out, r, from, to)
	}
	e := q.explain(r, from, to)
	if err := q.print(out, e, nil); err != nil {
		return err
	}
	if e.Verdict != explain.Admitted {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

// isAboutMany says whether the ends are asked about as wholes; a conversation is not, unless an end
// is a group.
func (q *explainOptions) isAboutMany(from, to explain.End) bool {
	onLink := q.talk.Word != "" && !isGroup(from) && !isGroup(to)
	return isCrowd(from, to) && !onLink
}

func (q *explainOptions) explain(r explain.Reader, from, to explain.End) explain.Explanation {
	if q.talk.Word != "" {
		return r.Converse(q.talk, from, to)
	}
	return r.Explain(from, to, q.service, q.ways()...)
}

// answerLive asks the switch, too.
func (q *explainOptions) answerLive(cmd *cobra.Command, in cli.Loaded, w spec.World,
	r explain.Reader) error {
	from, to, err := q.ends(r)
	if err != nil {
		return err
	}
	if q.isAboutMany(from, to) {
		return q.crowd(cmd.OutOrStdout(), r, from, to)
	}
	e := q.explain(r, from, to)
	live, err := askSwitch(cmd.Context(), q.timeout, in.Settings, w, e)
	if err != nil {
		return err
	}
	if err := q.print(cmd.OutOrStdout(), e, live); err != nil {
		return err
	}
	if e.Verdict != explain.Admitted || live.differs() {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

// ways returns what --via means.
func (q *explainOptions) ways() []string {
	switch q.via {
	case "direct":
		return []string{explain.WayDirect}
	case "router":
		return []string{explain.WayRouted}
	}
	return nil
}

// ends finds both ends; that of a conversation may be left out.
func (q *explainOptions) ends(r explain.Reader) (from, to explain.End, err error) {
	if from, err = endOf(r, "--from", q.from); err != nil {
		return from, to, err
	}
	if q.to != "" {
		if to, err = endOf(r, "--to", q.to); err != nil {
			return from, to, err
		}
	}
	return from, to, nil
}

// list answers who may reach one end, or whom it may reach.
func (q *explainOptions) list(w io.Writer, r explain.Reader, from, to explain.End) error {
	end, d := to, policy.Ingress
	if to.Any && !from.Any {
		end, d = from, policy.Egress
	}
	reach := slices.Collect(r.Peers(end, d, q.service))
	admitted := 0
	for _, one := range reach {
		admitted += len(one.Outside) + len(one.Instances)
	}
	if err := q.printList(w, reach); err != nil {
		return err
	}
	if admitted == 0 {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}

// explained is what -o json prints of a question.
type explained struct {
	explain.Explanation
	Live *liveAnswer `json:"live,omitempty"`
}

func (q *explainOptions) print(w io.Writer, e explain.Explanation, live *liveAnswer) error {
	if q.out == term.JSON {
		return term.PrintJSON(w, explained{e, live})
	}
	p := newPage(w)
	p.Line("%s %s: %s", endsText(e), e.Service, p.verdict(strings.ToUpper(e.Verdict.String())))
	if e.Reason != "" {
		p.Line("  %s", e.Reason)
	}
	for _, r := range e.Routes {
		p.route(r)
	}
	for _, x := range e.Exchanges {
		p.exchange(x)
	}
	p.live(live)
	return p.Err()
}

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
	return text +
		fmt.Sprintf("  %-13s  frames of another EtherType: do they pass, to --to or to a group\n",
			"0x88cc")
}

// readTalk holds the command line of a conversation against itself.
func (q *explainOptions) readTalk() error {
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
