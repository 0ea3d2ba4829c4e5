package instancefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Machines that start at once change the folder one after the other: each is checked against what
// the one before has written. The daemon writes files of before back between two of them.

const (
	// lockTime is how long others may hold the folder.
	lockTime = 20 * time.Second
	// lockPause is how often it is looked whether they still do.
	lockPause = 20 * time.Millisecond
)

// Lock holds a policy's folder against others that change instances, until the function that it
// returns is called, or the process ends. Policies that are one file have no files of instances.
func Lock(ctx context.Context, folder string) (func(), error) {
	return lock(ctx, folder, lockTime)
}

func lock(ctx context.Context, folder string, limit time.Duration) (func(), error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, fmt.Errorf("the setting policy: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("the setting policy is the file %s, and an instance that is added has a "+
			"file of its own: make a folder of it, \"policy: policy\", with this file in it", folder)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		unlock, err := TryLock(folder)
		if !errors.Is(err, ErrHeld) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is held by somebody else who changes an instance, for %s: "+
				"see who, fuser -v %[1]s", folder, limit)
		case <-time.After(lockPause):
		}
	}
}

// ErrHeld says that somebody else holds a folder.
var ErrHeld = errors.New("somebody else changes an instance")

// TryLock is Lock that does not wait: the error is ErrHeld then.
func TryLock(folder string) (func(), error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch err {
	case nil:
		return func() { _ = f.Close() }, nil // which lets go of it
	case syscall.EWOULDBLOCK, syscall.EINTR:
		err = ErrHeld
	}
	_ = f.Close()
	return nil, fmt.Errorf("lock %s: %w", folder, err)
}
