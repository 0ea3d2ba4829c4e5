package main

// equal says, by the place of a mutation, why no test can notice it: both ways of writing mean the
// same, or what differs cannot be.
func equal() map[string]string {
	return map[string]string{
		`flows/openflow/form.go: readText: "true" instead of "false"`: "what is read is the zero OXM " +
			"then, which no text is the same as, and which check refuses",
	}
}
