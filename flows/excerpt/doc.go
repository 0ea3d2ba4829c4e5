// Package excerpt cuts out of a policy what a question is about, so that whoever asks a server
// about one object need not be told of all.
package excerpt
