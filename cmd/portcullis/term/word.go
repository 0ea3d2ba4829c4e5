package term

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// Word is a flag that is one of some words, such as the format of an answer; it implements
// pflag.Value. The type of such a flag is its words, parted by |, by which it is completed.
type Word struct {
	Value string
	words []string
}

// WordOf is a flag of the words; the first is its default.
func WordOf(words ...string) Word { return Word{words[0], words} }

// String returns the word.
func (w *Word) String() string { return w.Value }

// Type is what the help calls the value.
func (w *Word) Type() string { return strings.Join(w.words, "|") }

// Set accepts one of the words.
func (w *Word) Set(s string) error {
	if !slices.Contains(w.words, s) {
		return fmt.Errorf("want %s%s", strings.Join(w.words, ", "), wording.DidYouMean(s, w.words))
	}
	w.Value = s
	return nil
}
