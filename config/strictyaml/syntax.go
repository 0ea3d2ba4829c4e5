// Where a text stops being YAML. Called by Document when the library has refused it.

package strictyaml

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// libraryWords is what the library puts before what it says. Its lines are those where a list or
// mapping begins, or one too small.
var libraryWords = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// whyRefused says where and why the library does not take a text for YAML. The library says little
// about that, so the text is looked through for what people get wrong; what it does say is the
// answer only if that finds nothing. A text that is JSON farther than it is YAML is told why it is
// no JSON.
func whyRefused(data []byte, json *jsonReader, err error) []mistake {
	found := findMistakes(data)
	if len(found) == 0 {
		found = []mistake{libraryMistake(data, err)}
	}
	if json != nil && json.looksLikeIt() {
		if m := json.mistake(); m.line > found[0].line ||
			m.line == found[0].line && m.column >= found[0].column {
			return []mistake{m}
		}
	}
	return found
}

// libraryMistake is what the library says, as near as possible to where it is.
func libraryMistake(data []byte, err error) mistake {
	m := mistake{line: 1, column: 1, text: "not valid YAML: " + libraryReason(err)}
	if len(data) > MaxSearched {
		if told := libraryWords.FindStringSubmatch(err.Error()); told != nil && told[1] != "" {
			m.line, _ = strconv.Atoi(told[1]) // of digits
		}
		return m
	}
	cursor := newCursor(data)
	at := failsAt(data, libraryReason(err))
	// it is the whole text that was not expected
	if strings.HasPrefix(libraryReason(err), "did not find") {
		at = bytes.LastIndexAny(data[:at], " \t\r\n,[{") + 1
	}
	m.line, m.column = cursor.place(at)
	return m
}

func libraryReason(err error) string { return libraryWords.ReplaceAllString(err.Error(), "") }

// MaxSearched is the length in bytes up to which a text is parsed some twenty times to find the
// place of a mistake. Of a longer one the library's line must do.
const MaxSearched = 1 << 20

// failsAt returns the offset of the last byte of the shortest text, near to where the library gave
// up, that it refuses for this reason.
func failsAt(data []byte, why string) int {
	fails := func(length int) bool {
		err := decode(bytes.NewReader(data[:length]), ignored)
		return err != nil && libraryReason(err) == why
	}
	rest := bytes.NewReader(data)
	_ = decode(rest, ignored)
	end := len(data) - rest.Len()
	low := end
	for step := 64; low > 0 && (low == end || fails(low)); step *= 16 {
		low = max(0, low-step)
	}
	high := shortest(low, end, fails)
	for range 8 { // a shorter text may fail because it ends within something
		longer := high + 1
		for ; longer < min(high+16, end) && fails(longer); longer++ {
		}
		if longer >= min(high+16, end) {
			break
		}
		high = shortest(longer, end, fails)
	}
	for high--; high > 0 && !utf8.RuneStart(data[high]); high-- {
	}
	return max(0, high)
}

// shortest returns a length up to high that fails while the one before it, which is at least low,
// does not.
func shortest(low, high int, fails func(length int) bool) int {
	for high-low > 1 {
		if middle := (low + high) / 2; fails(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

func ignored(*yaml.Node) bool { return true }
