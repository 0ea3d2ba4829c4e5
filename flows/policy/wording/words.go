// Package wording holds what messages about what people wrote are made of: texts in quotes, counts,
// and the word that was probably meant. It is pure.
package wording

import "strconv"

// Quote returns the text in quotes, shortened, with everything escaped that a terminal would obey.
func Quote(s string) string { return strconv.Quote(Shorten(s)) }

// QuoteRune returns the character in quotes, escaped as by [Quote].
func QuoteRune(r rune) string { return strconv.QuoteRune(r) }

// Count returns "1 byte" or "2 bytes".
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// Shorten keeps messages readable when the value is not.
func Shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
