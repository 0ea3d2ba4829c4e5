// Policies on trial: they are taken back unless somebody confirms them in time. The API begins and
// confirms them, Load judges what the files are, [Source.watch] keeps the time. Invariant: what
// ends a trial is on disk before it counts, so that no restart makes more or less of it.

package generation

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/config/history"
	"github.com/portcullis/portcullis/config/policydir"
	"github.com/portcullis/portcullis/flows/policy"
)

const (
	// placingTime is how long the files of a trial may take until all are in place.
	placingTime = 30 * time.Second
	// LongestTrial bounds how long a policy can be on trial.
	LongestTrial = 24 * time.Hour
)

// Request is a policy that is to be tried.
type Request struct {
	Digest string // of its files, which are about to be put in place
	// how long it is tried; 0 = until the files are in place: nobody has to confirm it
	Confirm time.Duration
	By      string // who asked for it
	Note    string // what for
}

// ErrOnTrial says that another policy is on trial.
var ErrOnTrial = errors.New("a policy is on trial already")

// Try begins a trial: from now on only files of the digest are taken, or those that were in force
// before, and what is in force now comes back unless Confirm is called in time.
func (s *Source) Try(r Request) (history.Trial, error) {
	if r.Confirm < 0 || r.Confirm > LongestTrial || r.Digest == "" {
		return history.Trial{}, fmt.Errorf("want the digest of files, and a time from 0 to %s",
			LongestTrial)
	}
	if err := s.keep(); err != nil { // what is in force is what comes back
		return history.Trial{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trial != nil && s.trial.Taken == nil {
		return *s.trial, fmt.Errorf("%w, until %s: portcullis confirm keeps it", ErrOnTrial,
			s.trial.Until.Format(time.RFC3339))
	}
	back, err := s.opts.Store.Last()
	if err == nil && back.Digest != s.digest {
		err = errors.New("the policy in force is not kept yet")
	}
	if err == nil {
		_, err = s.opts.Store.Texts(back)
	}
	if err != nil {
		return history.Trial{}, fmt.Errorf("there would be no way back: %w", err)
	}
	now := time.Now()
	t := &history.Trial{Digest: r.Digest, Back: back.Number, Began: now, Until: now.Add(r.Confirm),
		Unasked: r.Confirm == 0, By: r.By, Note: r.Note}
	if t.Unasked {
		t.Until = now.Add(placingTime)
	}
	if err := s.opts.Store.SetTrial(t); err != nil {
		return history.Trial{}, fmt.Errorf("there would be no way back: %w", err)
	}
	s.begin(t)
	return *t, nil
}

// begin has the time of a trial run.
func (s *Source) begin(t *history.Trial) {
	s.trial, s.origin, s.backDigest = t, t, s.digestOf(t.Back)
	whole := t.Until.Sub(t.Began)
	// a clock that was set back gives no more than the whole time again
	s.due = time.Now().Add(min(time.Until(t.Until.Round(0)), whole))
	if placed := time.Now().Add(placingTime); !t.Placed && s.due.After(placed) {
		s.due = placed
	}
	s.tick()
}

// Confirm ends the trial of the files of a digest, "" = whichever is on trial: what is in force
// stays.
func (s *Source) Confirm(digest string) (history.Trial, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trial
	switch {
	case t == nil:
		return history.Trial{}, errors.New("no policy is on trial")
	case digest != "" && digest != t.Digest:
		return *t, errOtherTrial(t)
	case t.Taken != nil:
		return *t, fmt.Errorf("it is too late: the policy was taken back at %s",
			t.Taken.At.Format(time.RFC3339))
	case !t.Placed:
		return *t, errors.New("the policy on trial is not in force yet")
	}
	if err := s.opts.Store.SetTrial(nil); err != nil {
		return *t, fmt.Errorf("the trial goes on: %w", err)
	}
	s.trial = nil
	s.opts.Log.WithField("by", t.By).Info("the policy on trial is confirmed")
	return *t, nil
}

// errOtherTrial says that the policy which was named is on trial no more, and another one is.
func errOtherTrial(t *history.Trial) error {
	return fmt.Errorf("another policy is on trial now, of %s since %s", cmp.Or(t.By, "somebody"),
		t.Began.Format(time.RFC3339))
}

// Abandon takes the policy on trial back now, if its files have the digest; "" = whichever it is.
func (s *Source) Abandon(digest string) (history.Trial, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t := s.trial; {
	case t == nil, t.Taken != nil:
		return history.Trial{}, errors.New("no policy is on trial")
	case digest != "" && digest != t.Digest:
		return *t, errOtherTrial(t)
	}
	s.due = time.Now()
	s.tick()
	return *s.trial, nil
}

// Trial returns the policy on trial, or the one that was taken back and whose files are still in
// place; nil = there is none.
func (s *Source) Trial() *history.Trial {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trial == nil {
		return nil
	}
	t := *s.trial
	return &t
}

// judgement is what a trial makes of files.
type judgement int

const (
	asTheyAre judgement = iota // the files are taken, or not, as without a trial
	between                    // they are being put in place: what is in force stays
	takenBack                  // what was in force before the trial is again
)

// judge says what the trial makes of the files: their digest, or why they are not valid.
func (s *Source) judge(digest string, err error) judgement {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trial
	if t == nil {
		return asTheyAre
	}
	if t.Taken == nil && !time.Now().Before(s.due) {
		s.takeBack(digest, err)
	}
	isBack := err == nil && digest == s.backDigest
	switch {
	case t.Taken != nil && !isBack && (err != nil || s.isRestoring || digest == t.Taken.Refused):
		return takenBack
	case t.Taken != nil && !isBack && s.isStillTried(*t):
		return takenBack
	case t.Taken != nil && isBack:
		s.end("the files of before the trial are in their place again")
	case t.Taken != nil:
		s.end("other files are in the place of those that were taken back")
	case t.Placed && isBack && digest != t.Digest:
		s.end("the files of before the trial are in their place again")
	case t.Placed, isBack && digest != t.Digest:
	case err == nil && digest == t.Digest:
		s.place()
	default:
		return between
	}
	return asTheyAre
}

// place notes that the files of the trial are in place.
func (s *Source) place() {
	if s.trial.Unasked {
		s.end("")
		return
	}
	s.trial.Placed = true
	if err := s.opts.Store.SetTrial(s.trial); err != nil {
		s.opts.Log.WithError(err).Warn("the trial cannot be noted")
	}
	s.begin(s.trial)
	s.opts.Log.WithFields(map[string]any{"until": s.trial.Until.Format(time.RFC3339),
		"generation": s.trial.Back}).
		Warn("a policy is on trial: the generation comes back unless it is confirmed in time")
}

// end ends the trial.
func (s *Source) end(why string) {
	if err := s.opts.Store.SetTrial(nil); err != nil {
		s.opts.Log.WithError(err).Warn("the end of the trial cannot be noted")
	}
	s.trial = nil
	if why != "" {
		s.opts.Log.Info(why)
	}
}

// takeBack notes that the time of the trial is over.
func (s *Source) takeBack(digest string, err error) {
	why := "nobody confirmed it in time"
	if !s.trial.Placed {
		why = "its files were not all in place in time"
	}
	if err != nil {
		digest = ""
	}
	found := ""
	if now, err := policydir.Contents(s.opts.Policy); err == nil {
		found = policydir.Digest(now)
		s.keepOthers(s.trial, now)
		if err := KeepFound(s.opts.Store, s.opts.Policy, now, s.trial.Back); err != nil {
			s.opts.Log.WithError(err).Warn("the files of the trial are not kept")
		}
	}
	s.trial.Taken = &history.Taken{At: time.Now(), Refused: digest, Found: found, Why: why}
	s.opts.Log.WithFields(map[string]any{"generation": s.trial.Back, "why": why}).
		Error("the policy on trial is taken back")
	if err := s.opts.Store.SetTrial(s.trial); err != nil {
		s.opts.Log.WithError(err).Warn("that the trial is taken back cannot be noted")
	}
	s.tick()
}

// returned is what Load returns where the policy of before the trial is in force whatever the files
// are. cause is why they are not valid, if they are not.
func (s *Source) returned(cause error) (*policy.Policy, error) {
	t := s.Trial()
	why := error(&takenError{*t, cause})
	if t.Taken == nil {
		why = errPlacing
	}
	if s.instead == nil || s.instead.Number != t.Back {
		g, err := s.opts.Store.Get(t.Back)
		var p *policy.Policy
		if err == nil {
			p, err = s.opts.Store.Policy(g)
		}
		if err != nil {
			return nil, errors.Join(why, fmt.Errorf("and it cannot be taken back: %w", err))
		}
		if s.runs != nil {
			s.enqueue(change{before: s.runs, after: p, digest: g.Digest, files: contentsOf(g),
				at: time.Now(), note: fmt.Sprintf("generation %d is back: %s", g.Number,
					t.Taken.Why)})
		}
		s.run(p, g.Digest, &g)
	}
	return s.runs, &history.Instead{Generation: *s.instead, Err: why}
}

// errPlacing says why files are not in force while they are put in place.
var errPlacing = errors.New("the files are being put in place; the policy of before is in force")

// takenError says why valid files are not in force.
type takenError struct {
	trial history.Trial
	files error // why they are not valid; nil = they are
}

func (e *takenError) Error() string {
	line := fmt.Sprintf("the policy that was tried since %s was taken back at %s (%s), and its files "+
		"are still in place: portcullis rollback %d writes back those of before",
		e.trial.Began.Format(time.RFC3339), e.trial.Taken.At.Format(time.RFC3339), e.trial.Taken.Why,
		e.trial.Back)
	if e.files != nil {
		line += "\n" + e.files.Error()
	}
	return line
}

func (e *takenError) Unwrap() error { return e.files }
