package fleetlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A member's database on a small disk of its own, which can be full. It is a file system in memory
// that only the node's processes see, so that it ends with them.

const (
	diskSize = "16M"
	ballast  = "ballast"
	database = "portcullis.db"
)

// useDisk moves the member's database, which is there already, to a small disk. It is called before
// the server starts.
func (s *Server) useDisk() error {
	disk := s.path("disk")
	err := s.Namespace.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return err
		}
		if err := os.Mkdir(disk, 0o700); err != nil {
			return err
		}
		if err := unix.Mount("disk", disk, "tmpfs", 0, "size="+diskSize); err != nil {
			return err
		}
		text, err := os.ReadFile(s.path(database))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(disk, database), text, 0o600); err != nil {
			return err
		}
		return os.Remove(s.path(database))
	})
	if err != nil {
		return fmt.Errorf("give %s a disk: %w", s.Name, err)
	}
	return os.Symlink(filepath.Join("disk", database), s.path(database))
}

// FillDisk has nothing more fit on the disk of the member.
func (s *Server) FillDisk() error {
	return s.Namespace.Do(func() error {
		f, err := os.Create(s.path("disk/" + ballast))
		if err != nil {
			return err
		}
		defer f.Close()
		for chunk := make([]byte, 1<<12); err == nil; {
			_, err = f.Write(chunk)
		}
		if !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("fill the disk of %s: %w", s.Name, err)
		}
		return nil
	})
}

// FreeDisk makes room again.
func (s *Server) FreeDisk() error {
	return s.Namespace.Do(func() error { return os.Remove(s.path("disk/" + ballast)) })
}
