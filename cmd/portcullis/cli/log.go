package cli

import (
	"io"

	"github.com/sirupsen/logrus"

	"github.com/portcullis/portcullis/config"
)

// The log of what runs until a signal: the daemon, and the API server.

// NewLog writes a log as the settings have it. A level that is not known is info.
func NewLog(l config.Log, out io.Writer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(out)
	if level, err := logrus.ParseLevel(l.Level); err == nil {
		log.SetLevel(level)
	}
	if l.Format == "json" {
		log.SetFormatter(&logrus.JSONFormatter{})
	} else {
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	}
	return log
}
