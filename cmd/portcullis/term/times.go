package term

import (
	"fmt"
	"time"
)

// Times as people say them, in local time.

// Ago is how long something has been so: "12 s ago", "5 min ago", "3 h ago", "2 days ago".
func Ago(t, now time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 2*24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// Moment is when something was: "5 min ago (09:12:01)", with the day if it is another one.
func Moment(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	local, layout := t.Local(), time.TimeOnly
	if local.Format(time.DateOnly) != now.Local().Format(time.DateOnly) {
		layout = time.DateTime
	}
	return fmt.Sprintf("%s (%s)", Ago(t, now), local.Format(layout))
}

// Count is a number and what it is of: "1 port", "2 ports".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
