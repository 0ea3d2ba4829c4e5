package strictyaml

import (
	"strconv"
)

// quote returns the text in quotes, shortened, with everything escaped that a terminal would obey.
func Quote(s string) string { return strconv.Quote(shorten(s)) }

func QuoteRune(r rune) string { return strconv.QuoteRune(r) }

// count returns "1 byte" or "2 bytes".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
