package phi3

import (
	"fmt"
	"strings"
)

// InputError says that a model folder, file or adapter given by the user cannot be
// used, with every reason found. Stages report it as bad input.
type InputError struct {
	What     string // the file or thing, as in `model "dir/config.json"`
	Problems []string
	Cause    error // may be nil
}

func (e *InputError) Error() string {
	switch len(e.Problems) {
	case 0:
		return fmt.Sprintf("%s: %v", e.What, e.Cause)
	case 1:
		return e.What + ": " + e.Problems[0]
	}
	return fmt.Sprintf("%s: %d problems:\n  - %s", e.What, len(e.Problems), strings.Join(e.Problems, "\n  - "))
}

func (e *InputError) Unwrap() error { return e.Cause }

func inputError(cause error, format string, args ...any) *InputError {
	return &InputError{What: fmt.Sprintf(format, args...), Cause: cause}
}
