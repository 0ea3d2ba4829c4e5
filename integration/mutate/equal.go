package main

// equal says, by the place of a mutation, why no test can notice it: both ways of writing mean the
// same, or what differs cannot be.
func equal() map[string]string {
	return map[string]string{
		`controller/agent/watcher.go: requeue: "" instead of "w.events.touched = w.events.touched || ` +
			`e.touched"`: "what makes flows be read again is that they are not known, and touched has said " +
			"so before reading could fail",
		`flows/openflow/form.go: readText: "true" instead of "false"`: "what is read is the zero OXM " +
			"then, which no text is the same as, and which check refuses",
	}
}
