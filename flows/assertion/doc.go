// Package assertion says whether a policy is what somebody says of it: "outside -> db-1 mysql
// denied", "db-1 <- only frontend mysql, management ssh". The command test reads such lines from
// files and prints what does not hold, and why.
//
// It is pure, and never decides itself: package census does, which is held against [spec.Decide].
// Start with [Parse] and [Run].
package assertion
