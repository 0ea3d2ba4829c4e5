package api_test

import (
	"testing"

	"github.com/portcullis/portcullis/integration/leaktest"
)

// TestMain fails the package if its tests leave goroutines.
func TestMain(m *testing.M) { leaktest.Main(m) }
