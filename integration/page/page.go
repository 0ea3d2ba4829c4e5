// Package page reads pages of the documentation as their readers see them: blocks of commands, what
// those print, and files, whose names stand above them. The tests that run the pages and those that
// check their files read them by it, so that neither knows anything that is not on the page.
package page

import (
	"fmt"
	"regexp"
	"strings"
)

// Run is the kind of a block of commands that is run.
const Run = "sh run"

// Block is a fenced block of a page.
type Block struct {
	Line int    // where it begins, from 1
	Kind string // the language: yaml, sh, text; or Run
	Name string // of the file that it is, as the line above says; "" = it is none
	Text string
	// Prints is what a block that is run prints: the text block right behind it, in which … stands
	// for anything within a line. "" = whatever.
	Prints string
}

var (
	fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")
	named = regexp.MustCompile("`([^`\\s]+)`:\\s*\\z")
)

// Blocks are the blocks of a page, in order. It is an error if a fence says more than its language:
// nobody sees that on the page.
func Blocks(text string) ([]Block, error) {
	var blocks []Block
	end := 0 // of the block before
	for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
		b := Block{Line: strings.Count(text[:at[0]], "\n") + 1, Kind: text[at[2]:at[3]],
			Text: text[at[4]:at[5]]}
		between := text[end:at[0]]
		end = at[1]
		if b.Kind != Run && strings.ContainsAny(b.Kind, " \t") {
			return nil, fmt.Errorf("line %d: %q behind the fence is not on the page: "+
				"the name of a file stands in backquotes and with a colon above its block",
				b.Line, b.Kind)
		}
		if n := len(blocks); b.Kind == "text" && n > 0 && blocks[n-1].Kind == Run &&
			strings.TrimSpace(between) == "" {
			blocks[n-1].Prints = b.Text
			continue
		}
		if m := named.FindStringSubmatch(between); m != nil {
			b.Name = m[1]
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// columns are the spaces between two columns of a table, which are as wide as what is in them.
var columns = regexp.MustCompile(`(\S)  +`)

// Pattern matches a text in which … stands for anything within a line, and two spaces or more
// behind a word for as many as there are.
func Pattern(text string) *regexp.Regexp {
	quoted := columns.ReplaceAllString(regexp.QuoteMeta(text), "$1 {2,}")
	return regexp.MustCompile(`\A` + strings.ReplaceAll(quoted, "…", ".*") + `\z`)
}
