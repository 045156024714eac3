package plugins

import (
	"errors"
	"io/fs"
)

// InputProblem makes a Problem of an error met while looking at the input that field names: what
// is not there is unavailable (exit 5), anything else about it bad input.
func InputProblem(field string, err error) Problem {
	p := Problem{Field: field, Code: BadInput, Message: err.Error()}
	var typed *Error
	switch {
	case errors.As(err, &typed):
		p.Code = typed.Code
	case errors.Is(err, fs.ErrNotExist):
		p.Code = Unavailable
	}
	return p
}
