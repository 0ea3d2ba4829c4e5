package main

// equal says, by the place of a mutation, why no test can notice it: both ways of writing mean the
// same, or what differs cannot be.
func equal() map[string]string {
	return map[string]string{
		`controller/agent/watcher.go: requeue: "" instead of "w.events.touched = w.events.touched || ` +
			`e.touched"`: "what makes flows be read again is that they are not known, and touched has said " +
			"so before reading could fail",
		`controller/agent/installed.go: compare: "1" instead of "0"`: "while it is open whether one " +
			"program runs, the rows are compiled in this turn anyway, and what the switch lacks is " +
			"counted from wherever the compiler stands",
		`controller/agent/sync.go: logTransition: "" instead of "r.log.WithError(err).` +
			`Debug(\"conntrack zones are given out again\")"`: "nothing is held to what is logged for " +
			"debugging",
		`flows/program.go: assert: "" instead of "t.keep(e)"`: "a flow that no unit has was taken from one " +
			"in the same change, and kept then; else the end of that change has removed it",
		`flows/openflow/form.go: readText: "true" instead of "false"`: "what is read is the zero OXM " +
			"then, which no text is the same as, and which check refuses",
	}
}
