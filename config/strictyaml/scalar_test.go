package strictyaml

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is a number or a truth value is the same for every release, and nobody has to know which
// words YAML 1.1 took for one.
func TestTypes(t *testing.T) {
	for yamlType, words := range map[yamlType]string{
		isText: "a yes no on off Yes y n 08 09 0o8 0b2 0x 0xg 1e3 1E3 -0x 1.2.3 10.0.0.1 " +
			"02:00:00:00:00:01 12:30:45 2001-12-14 1-2 _1 - + . .. -. +-a ->" +
			" infinity inf nan .Inf0 .nAn tRUE nULL 1.5x 0x1.8 -9223372036854775809x " +
			"0xffffffffffffffffff == \u0661",
		isNull:  "~ null Null NULL",
		isTruth: "true True TRUE false False FALSE",
		isWhole: "0 1 -1 +1 1_000 1__0 0x1f 0o17 017 0b11 -0x1F 0_7 18446744073709551615 " +
			"-9223372036854775808",
		isFraction: "1.5 .5 5. -.5 +.5 1.5e3 1_0.5 00.5 .inf -.inf .nan .NaN " +
			"99999999999999999999 -9223372036854775809",
	} {
		for _, word := range strings.Fields(words) {
			require.Equal(t, yamlType, typeOf(word), word)
		}
	}
	require.Equal(t, isNull, typeOf(""))
}
