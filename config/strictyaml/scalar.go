// Which type a text without quotes has. The same for every release of the library: the words of
// YAML 1.1 are text.

package strictyaml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/flows/policy/wording"
)

// yamlType is what a text without quotes is to YAML 1.2. Words that are something else in YAML 1.1,
// such as yes, are text.
type yamlType int

const (
	isText yamlType = iota
	isNull
	isTruth
	isWhole // a number without a point, in whatever base
	isFraction
	notScalar // a list or a mapping
)

// words tells a value of this yamlType.
func (s yamlType) words(value string) string {
	switch s {
	case isText:
		return fmt.Sprintf("the text %q", wording.Shorten(value))
	case isNull:
		return "nothing"
	case isTruth:
		return "the truth value " + value
	case isWhole, isFraction:
		return "the number " + wording.Shorten(value)
	}
	return "something else"
}

// typeOf says what a text without quotes is.
func typeOf(s string) yamlType {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return isNull
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return isTruth
	case ".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return isFraction
	}
	if s[0] >= '0' && s[0] <= '9' || s[0] == '-' || s[0] == '+' || s[0] == '.' {
		return typeOfNumber(s)
	}
	return isText
}

// typeOfNumber is lenient, as what is taken for a number is refused where a text is wanted, and
// the other way round: nobody must have to know that 0x1f or 1_000 is one for some.
func typeOfNumber(s string) yamlType {
	negative := strings.HasPrefix(s, "-")
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "+"), "-")
	points := strings.Count(digits, ".")
	if points > 1 || strings.ContainsAny(digits, ":/") { // most addresses and MACs
		return isText
	}
	digits = strings.ReplaceAll(digits, "_", "")
	base := 10
	switch {
	case strings.HasPrefix(digits, "0x"):
		digits, base = digits[2:], 16
	case strings.HasPrefix(digits, "0o"):
		digits, base = digits[2:], 8
	case strings.HasPrefix(digits, "0b"):
		digits, base = digits[2:], 2
	case points == 1:
		if _, err := strconv.ParseFloat(digits, 64); err != nil {
			return isText
		}
		return isFraction
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	switch v, err := strconv.ParseUint(digits, base, 64); {
	case err == nil && (!negative || v <= 1<<63):
		return isWhole
	case base == 10 && (err == nil || errors.Is(err, strconv.ErrRange)):
		return isFraction // to whom reads it with a point that moves
	}
	return isText
}
