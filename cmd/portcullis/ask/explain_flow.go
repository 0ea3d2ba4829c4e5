package ask

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/ofswitch"
	"github.com/portcullis/portcullis/flows"
	"github.com/portcullis/portcullis/flows/attribution"
	"github.com/portcullis/portcullis/flows/openflow"
)

// explainFlow goes back from a cookie to the rule, port or stage.
func (q *explainOptions) explainFlow(cmd *cobra.Command, in cli.Loaded) error {
	cookie, err := strconv.ParseUint(q.flow, 0, 64)
	if err != nil {
		return fmt.Errorf("--flow %q: want a cookie as 'ovs-ofctl dump-flows' prints it, such as "+
			"0x504322e462d6a80b", q.flow)
	}
	held, err := heldFlows(cmd.Context(), in, q.dump)
	if err != nil {
		return err
	}
	origins, err := originsOf(in, held, cookie)
	if err != nil {
		return err
	}
	if len(origins) == 0 {
		return fmt.Errorf("--flow %s: no flow of our tables has this cookie", q.flow)
	}
	if q.out == term.JSON {
		return term.PrintJSON(cmd.OutOrStdout(), origins)
	}
	p := newPage(cmd.OutOrStdout())
	for _, o := range origins {
		p.Line("%s", o.Flow)
		p.Line("  %s", o.Sentence)
		if o.Purpose != "" {
			p.Line("  The table asks: %s", o.Purpose)
		}
		if o.Of != "" {
			p.Line("  It is of %s.", o.Of)
		}
		for _, r := range o.Rules {
			p.Line("  rule %d: %s", r.ID, r)
		}
	}
	return p.Err()
}

// originsOf says what the flows of a cookie are of, by the policy of the files.
func originsOf(in cli.Loaded, held []openflow.Flow, cookie uint64) ([]attribution.Origin, error) {
	input, program := asHeld(in, held), flows.Compiler{}
	if _, err := program.Update(input); err != nil {
		return nil, err
	}
	reader := attribution.New(input, &program)
	origins := []attribution.Origin{}
	for _, f := range held {
		if f.Cookie == cookie {
			origins = append(origins, reader.Read(f))
		}
	}
	return origins, nil
}

// heldFlows reads flows from a file, or what the switch holds if none is named.
func heldFlows(ctx context.Context, in cli.Loaded, dump string) ([]openflow.Flow, error) {
	if dump != "" {
		text, err := os.Open(dump)
		if err != nil {
			return nil, fmt.Errorf("--dump: %w", err)
		}
		defer text.Close()
		held, err := ofswitch.ReadDump(text)
		if err != nil {
			return nil, fmt.Errorf("--dump %s: %w", dump, err)
		}
		return held, nil
	}
	ctx, cancel := cli.Bounded(ctx)
	defer cancel()
	return ofswitch.New(ofswitch.Options{Target: in.Settings.OpenFlow,
		DatapathType: in.Settings.DatapathType}).Dump(ctx)
}

// asHeld is the input that flows were compiled from, as far as they tell: the policy is that of the
// files.
func asHeld(in cli.Loaded, held []openflow.Flow) flows.Input {
	out := flows.Input{Policy: in.Policy, Site: in.Settings.Site(), LastMeter: flows.MaxMeter}
	out.Bindings, out.Uplinks = attribution.Bindings(held, in.Policy, in.Settings.Host,
		in.Settings.Uplinks)
	return out
}
