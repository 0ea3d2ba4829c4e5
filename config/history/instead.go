// What is said where a kept policy takes the place of the files. The daemon source returns it.

package history

// Instead is the error of files that are not in force though a policy is: that of a generation,
// which is returned with it.
type Instead struct {
	Generation Generation
	Err        error // why the files are not
}

// Error says why the files are not in force.
func (e *Instead) Error() string { return e.Err.Error() }

// Unwrap returns why the files are not in force.
func (e *Instead) Unwrap() error { return e.Err }
