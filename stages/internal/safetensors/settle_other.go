//go:build !linux

package safetensors

import "os"

func begin(*os.File, int64, int64) {}

func finish(*os.File, int64, int64) error { return nil }
