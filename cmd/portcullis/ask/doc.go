// Package ask has the commands that answer questions about a policy: explain, plan, matrix and
// flows. Each is a file, with its answer as text in a second one where one would be too long.
package ask

//go:generate go test -run ^TestPlanPictureIsCurrent$ -update .
