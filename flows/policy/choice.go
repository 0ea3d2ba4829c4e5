package policy

// Choice is a yes or no that may be left to the settings, which the zero Choice does.
type Choice uint8

// What may be chosen.
const (
	Unset Choice = iota
	Yes
	No
)

// Or is what was chosen, or else what the settings say.
func (c Choice) Or(fallback bool) bool {
	switch c {
	case Yes:
		return true
	case No:
		return false
	}
	return fallback
}
