//go:build !linux

package settle

import "os"

func begin(*os.File, int64, int64) {}

func finish(*os.File, int64, int64, bool) error { return nil }
