package plugins

import (
	"errors"
	"fmt"
)

// Code classes failures. It survives the wire; texts are never matched.
type Code string

const (
	BadInput    Code = "bad_input"
	OutOfMemory Code = "out_of_memory"
	OutOfDisk   Code = "out_of_disk"
	Timeout     Code = "timeout"
	Cancelled   Code = "cancelled"
	Crashed     Code = "crashed"
	Gate        Code = "gate"
	Unavailable Code = "unavailable"
	Internal    Code = "internal"
)

// Codes lists every code, in the order of the contract.
var Codes = []Code{BadInput, OutOfMemory, OutOfDisk, Timeout, Cancelled, Crashed, Gate, Unavailable, Internal}

// Error is a failure with its class.
type Error struct {
	Code    Code
	Message string
	// Detail is for the log: the last lines of stderr, a trace.
	Detail string
	// RetryWith is what the stage proposes to change in its parameters for another try, by dotted
	// field: {"micro_batch": 4} after OutOfMemory. A field whose schema says that it changes no bytes
	// (tag bytes:"same") leaves the work what it is; any other makes the next try other work, which is
	// recorded and found again as such.
	RetryWith map[string]any
	cause     error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.cause }

// Errorf makes an error of a class; %w in format keeps its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// CodeOf returns the class of err: that of the first *Error in its chain, what a full
// disk or cancelled context implies, else Internal.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return classify(err)
}
