package loop

import (
	"fmt"
	"time"
)

// Checkpointing is the part of a stage's parameters about checkpoints.
type Checkpointing struct {
	Every string `json:"every" default:"3m" format:"duration" bytes:"same" help:"time between two; a stop saves one too"`
	Keep  int    `json:"keep" default:"5" min:"1" bytes:"same" help:"newest that stay"` // the engine removes the others
}

// Interval is the time between two checkpoints.
func (c Checkpointing) Interval() (time.Duration, error) {
	d, err := time.ParseDuration(c.Every)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is not positive", c.Every)
	}
	return d, err
}
