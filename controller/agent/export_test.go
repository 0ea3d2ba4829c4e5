package agent

// PauseFiles keeps everybody from looking at what happens until release is called.
func PauseFiles(f *Files) (release func()) {
	f.mu.Lock()
	return f.mu.Unlock
}

// PauseTime is how long a file that went away counts as it was.
const PauseTime = pauseTime
