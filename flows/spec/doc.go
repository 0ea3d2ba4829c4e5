// Package spec is the specification: [Decide] says what must happen to one frame, given a policy
// and where the frame enters the switch. It is plain and slow, and the judge of the compiled flows.
//
// It knows nothing of flows, and the compiler does not import it: tests hold the two against each
// other. The zero [Decision] delivers to nobody, the zero [Verdict] denies.
//
// Start with decide.go. link.go says what may enter, deliver.go who receives it, fragment.go what
// becomes of fragments; packet.go has the values.
package spec
