package agent_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/integration/leaktest"
)

// generous is how long a test waits for what comes by itself. It judges nobody's speed: a busy machine may take long.
const generous = 2 * time.Minute

// TestMain fails the package if its tests leave goroutines.
func TestMain(m *testing.M) { leaktest.Main(m) }
