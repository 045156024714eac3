package cpu

import "golang.org/x/sys/cpu"

// tile6x16 is in tile_amd64.s.
//
//go:noescape
func tile6x16(k int, a, b *float32, c *[96]float32)

// haveTile reports whether the processor can run tile6x16.
func haveTile() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }
