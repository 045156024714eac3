//go:build !amd64

package cpu

func tile6x16(int, *float32, *float32, *[96]float32) {}

func haveTile() bool { return false }
