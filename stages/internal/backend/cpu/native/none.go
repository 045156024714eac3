//go:build !cgo

// Package native is empty without cgo.
package native
