package ask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/portcullis/portcullis/cmd/portcullis/cli"
	"github.com/portcullis/portcullis/cmd/portcullis/term"
	"github.com/portcullis/portcullis/controller/api"
	"github.com/portcullis/portcullis/flows/explain"
)

// Questions of explain that a daemon answers from its memory: how the command asks it, and how the
// daemon answers by the command's own code. Invariant: the answer is the same as from the files.

// Explain answers a question of the API; the daemon calls it.
func Explain(r explain.Reader, asked api.Question) (text []byte, admitted bool, err error) {
	q := explainOptions{from: asked.From, to: asked.To, via: asked.Via, out: term.Table}
	if asked.Form == api.AsJSON {
		q.out = term.JSON
	}
	var words []string
	if asked.Service != "" {
		words = []string{asked.Service}
	}
	if err := q.read(words); err != nil {
		return nil, false, err
	}
	var out bytes.Buffer
	paint := term.Paint{On: asked.Form == api.AsColour}
	err = q.answerFrom(term.Painted{Writer: &out, Paint: paint}, r)
	if told := cli.Verdict(0); errors.As(err, &told) {
		return out.Bytes(), false, nil
	}
	return out.Bytes(), true, err
}

// errAskFiles says that the daemon has no answer to this question, so that the files have to be
// read.
var errAskFiles = errors.New("the files have to be read")

// fromDaemon has the daemon answer from its memory. The error is errAskFiles where there is none,
// or it has other files or settings.
func (q *explainOptions) fromDaemon(cmd *cobra.Command, f *cli.Files, work *cli.Progress) error {
	settings, err := f.Settings()
	if err != nil {
		return err
	}
	client, err := f.Client()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	asked := api.Question{From: q.from, To: q.to, Service: q.word, Via: q.via, Form: api.AsText,
		Read: true}
	switch {
	case q.out == term.JSON:
		asked.Form = api.AsJSON
	case term.PaintFor(out).On:
		asked.Form = api.AsColour
	}
	work.Stage("asking the daemon")
	ctx, cancel := q.timeout.Begin(cmd.Context(), "the daemon")
	defer cancel()
	got, err := client.Explain(ctx, asked)
	work.End()
	switch {
	case err != nil && isNoAnswer(err):
		return errAskFiles
	case err != nil:
		return f.Unanswered(cli.Late(ctx, err))
	case got.Source != settings.Policy || len(api.ChangedSettings(got.Site, settings.Site())) > 0,
		len(got.Errors) > 0:
		return errAskFiles // which tell of their mistakes
	}
	return q.show(cmd, got)
}

// isNoAnswer says whether there is no daemon to ask, or one that cannot answer: all but one that is
// late, or that finds fault with the question.
func isNoAnswer(err error) bool {
	if p := new(api.Problem); errors.As(err, &p) {
		return p.Status() != http.StatusBadRequest && p.Status() != http.StatusTooManyRequests
	}
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// show prints an answer of the daemon.
func (q *explainOptions) show(cmd *cobra.Command, got *api.Explained) error {
	text := []byte(got.Text)
	if q.out == term.JSON {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, got.Answer, "", "  "); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		text = append(pretty.Bytes(), '\n')
	}
	if _, err := cmd.OutOrStdout().Write(text); err != nil {
		return err
	}
	if !got.Admitted {
		return cli.Verdict(cli.ExitError)
	}
	return nil
}
