// Package backend is the seam between training and arithmetic: what a device must be able to do for the operators in stages/internal/ops.
//
// Conventions. Matrices are row-major; a "row" is one token. Every buffer belongs to one backend and holds numbers of that backend's
// element type (float32 everywhere except the float64 reference). Scalars cross as float64 and are rounded by the backend. Methods do not
// return errors: the first failure is latched (Err), everything after it is a no-op, and the training loop checks Err once a step. Calls may
// come from several goroutines; a backend runs them one at a time, in an order that the caller's data dependencies fix.
// Results do not depend on the number of threads unless a backend says so in Info.
//
// The package itself holds no arithmetic and imports nothing of ours; implementations live below it.
package backend

import "errors"

// Buffer is device memory for Len numbers. Its contents are undefined until written, except for NewBuffer's zeros.
type Buffer interface{ Len() int }

// Ints is device memory for token ids, positions and the like.
type Ints interface{ Len() int }

// Scope owns the buffers of one step. Alloc takes memory that an earlier step gave back when there is any of that size class,
// so that a steady training loop allocates nothing.
type Scope interface {
	// Alloc returns a buffer of n numbers with undefined contents.
	Alloc(n int) Buffer
	// AllocInts copies src to the device.
	AllocInts(src []int32) Ints
	// Free returns one buffer before the scope ends. The caller must hold the only reference.
	Free(Buffer)
	// End returns everything. The scope can be used again for the next step; buffers and tensors from before are dead.
	End()
}

// Memory makes buffers.
type Memory interface {
	NewScope() Scope
	// NewBuffer returns zeroed memory that lives until Release.
	NewBuffer(n int) Buffer
	Release(Buffer)
	// View is n numbers of b from off on, sharing its memory.
	View(b Buffer, off, n int) Buffer
}

// Transfer copies between host and device. Every call is counted (Counters).
type Transfer interface {
	Upload(dst Buffer, src []float32)
	Download(dst []float32, src Buffer)
	Upload64(dst Buffer, src []float64)
	Download64(dst []float64, src Buffer)
}

// ErrOutOfMemory is the failure of a backend that has no memory left for a buffer. The buffer that was asked for is handed out all the same.
var ErrOutOfMemory = errors.New("out of memory")

// Status is what a backend says about itself.
type Status interface {
	// Err is the first failure since the backend was opened, nil while all is well.
	Err() error
	// Fail latches err unless something failed earlier.
	Fail(err error)
	// Recover forgets a failure that is ErrOutOfMemory, gives memory back that nothing uses, and reports whether all is well
	// now. What was computed since the failure is undefined; buffers can be used again.
	Recover() bool
	Info() Info
	Counters() Counters
	// Sync waits until everything asked for is done.
	Sync()
}

// Info identifies what computes, for facts, fingerprints and logs: another value may mean other bits.
type Info struct {
	Name    string // "cpu", "cpu-reference", "cuda"
	Device  string // the kernels, "avx512", "avx2", "neon", "c", "asm" or "go", or the card's name
	BLAS    string // "own" or the library's path
	Version string // the library's own description, when it has one
	Threads int
	Bits    int // of an element: 32 or 64
}

// Counters counts copies between host and device, and memory held.
type Counters struct {
	Uploads, Downloads           int64
	UploadedBytes, DownloadBytes int64
	Allocations                  int64 // times that fresh memory had to be taken
	Bytes, PeakBytes             int64 // device memory held now, and at most
}

// Backend is everything the operators need. It is composed of small interfaces so that a consumer can ask for less.
type Backend interface {
	Memory
	Transfer
	Status
	Weights
	Matmul
	Elementwise
	Embedding
	Norm
	Attention
	Activation
	Rotation
	Loss
	Optimizer
	// Pack makes the handle that attention, RoPE, PET and dropout read: see Packing.
	Pack(PackingData) Packing
	Close() error
}
