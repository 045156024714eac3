package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// childLimit is how long bbolt's checker may take; on a broken tree it may never end.
const childLimit = time.Minute

// maxReasons bounds what a broken tree makes the checker say.
const maxReasons = 20

// CheckDatabase is what the child runs: bbolt's own check of the file at path, which is
// a copy nobody else has open. It returns what is wrong, and may take the process with it.
func CheckDatabase(path string) []string {
	db, err := bbolt.Open(path, 0o666, &bbolt.Options{ReadOnly: true, Timeout: foreignWait, FreelistType: bbolt.FreelistMapType, PreLoadFreelist: true})
	if err != nil {
		return []string{err.Error()}
	}
	defer db.Close()
	var reasons []string
	err = db.View(func(tx *bbolt.Tx) error {
		for problem := range tx.Check() {
			if len(reasons) < maxReasons {
				reasons = append(reasons, problem.Error())
			}
		}
		return nil
	})
	if err != nil {
		reasons = append(reasons, err.Error())
	}
	return reasons
}

// checkInChild runs CheckDatabase by way of command. A child that dies or does not end
// says that the database is damaged too.
func checkInChild(ctx context.Context, command []string, path string) ([]string, error) {
	if len(command) == 0 {
		return nil, nil
	}
	limited, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	cmd := exec.CommandContext(limited, command[0], append(command[1:len(command):len(command)], path)...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return []string{fmt.Sprintf("bbolt's check did not end within %v", childLimit)}, nil
	case errors.As(err, &exit):
		last, _, _ := strings.Cut(stderr.String(), "\n")
		return []string{fmt.Sprintf("bbolt's check died (%s): %s", exit, last)}, nil
	case err != nil:
		return nil, fmt.Errorf("starting the check of the database: %w", err)
	}
	var reasons []string
	for line := range strings.Lines(stdout.String()) {
		if line = strings.TrimSpace(line); line != "" {
			reasons = append(reasons, line)
		}
	}
	return reasons, nil
}
