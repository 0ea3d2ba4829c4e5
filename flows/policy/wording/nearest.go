package wording

import (
	"slices"
	"strings"
)

// didYouMean returns `; did you mean "frontend"?` where a known word is close to the unknown one,
// else "".
func DidYouMean(word string, known []string) string {
	if near, ok := Nearest(word, known); ok {
		return `; did you mean "` + near + `"?`
	}
	return ""
}

// Nearest returns the known word that differs from word by the fewest edits, if that is at most a
// third of the word (but always one edit). Words that differ in case only are nearest of all. Of
// equally near ones the first in the alphabet.
func Nearest(word string, known []string) (string, bool) {
	runes := []rune(strings.ToLower(word))
	best, found := max(1, len(runes)/3)+1, ""
	for _, k := range slices.Sorted(slices.Values(known)) {
		other := []rune(strings.ToLower(k))
		if abs(len(other)-len(runes)) >= best {
			continue
		}
		if d := distance(runes, other); d < best {
			best, found = d, k
		}
	}
	return found, found != ""
}

// distance is the number of letters to add, remove, replace, or swap with their neighbour, to turn
// a into b (optimal string alignment).
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
