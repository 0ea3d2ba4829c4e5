package config

import "strconv"

// quote returns the text in quotes, shortened, with everything escaped that a terminal would obey.
func quote(s string) string { return strconv.Quote(shorten(s)) }

func quoteRune(r rune) string { return strconv.QuoteRune(r) }

// count returns "1 byte" or "2 bytes".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
