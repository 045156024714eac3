// Package cuda is the backend on an NVIDIA card. Numbers live on the card as float32; products with frozen weights are bfloat16 with float32
// sums, other products TF32, unless Options asks for float32 throughout. Stored weights (int8, nf4) are widened tile by tile.
//
// All work goes to one stream in the order of the calls, every sum has a fixed order, and cuBLAS gets a fixed workspace, so that the same
// calls on the same card give the same bits. Nothing is copied to the host but what Download asks for.
package cuda

import (
	"errors"
	"fmt"
	"sync"

	driver "github.com/so8t/so8t/cuda"
	"github.com/so8t/so8t/stages/internal/backend"
)

// Precision is what products are computed in.
type Precision int

const (
	// Mixed is bfloat16 and TF32 with float32 sums: what tensor cores are for. It needs compute capability 8.0; an older card gets Single.
	Mixed Precision = iota
	// Single is float32 throughout.
	Single
)

// Options chooses a card and how it computes. The zero value is what a training run wants.
type Options struct {
	// Card is the index among those that CUDA_VISIBLE_DEVICES leaves.
	Card      int
	Precision Precision
	// Limit is the most that weights, activations and scratch may take on the card, bytes; 0: what the card has free.
	Limit int64
	// Reserve is taken from the card at once, bytes: the plan of a step, so that the steps themselves take nothing.
	Reserve int64
}

// card is the backend.
type card struct {
	dev       *driver.Device // nil: dry, nothing is computed
	mixed     bool
	info      backend.Info
	mem       arena
	transfers transfers

	mu sync.Mutex // one operation at a time

	errMu sync.Mutex
	err   error // the first failure of ours; the device has its own
}

var _ backend.Backend = (*card)(nil)

// Open opens a card. The error is driver.ErrUnavailable, or backend.ErrOutOfMemory when it has less free than the plan takes.
func Open(o Options) (backend.Backend, error) {
	dev, err := driver.Open(o.Card)
	if err != nil {
		return nil, fmt.Errorf("opening the cuda backend: %w", err)
	}
	i := dev.Info()
	c := &card{dev: dev, mixed: o.Precision == Mixed && i.BF16(), mem: newArena(o.Limit, dev)}
	c.info = describe(i, c.mixed)
	if o.Reserve > 0 {
		if err := c.mem.reserve(o.Reserve); err != nil {
			free, total, _ := dev.Memory()
			_ = dev.Close()
			return nil, fmt.Errorf("opening the cuda backend: the plan takes %d MiB, %s has %d MiB free of %d: %w",
				o.Reserve>>20, i.Name, free>>20, total>>20, err)
		}
	}
	return c, nil
}

// OpenDry makes a backend that computes nothing and holds nothing, but counts the memory that the card would need for the same calls, frozen
// weights apart. Weights need no data.
func OpenDry(p Precision) backend.Backend {
	return &card{mixed: p == Mixed, mem: newArena(0, nil), info: backend.Info{Name: "cuda-dry", Device: "none", BLAS: "none", Threads: 1, Bits: 32}}
}

func describe(i driver.Info, mixed bool) backend.Info {
	precision := "float32"
	if mixed {
		precision = "bf16 and tf32"
	}
	return backend.Info{
		Name: "cuda", Device: fmt.Sprintf("%s (%d.%d)", i.Name, i.Major, i.Minor), BLAS: i.BLAS,
		Version: fmt.Sprintf("cuBLAS %d, driver %d, %s", i.BLASVersion, i.Driver, precision), Threads: 1, Bits: 32,
	}
}

func (c *card) Err() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if c.err == nil && c.dev != nil {
		c.err = c.dev.Err()
	}
	return c.err
}

func (c *card) Fail(err error) {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// Recover is part of backend.Status. A failure of the card itself is never forgotten.
func (c *card) Recover() bool {
	c.errMu.Lock()
	if errors.Is(c.err, backend.ErrOutOfMemory) {
		c.err = nil
	}
	c.errMu.Unlock()
	c.mem.shrink()
	return c.Err() == nil
}

func (c *card) Info() backend.Info { return c.info }

func (c *card) Sync() {
	if c.dev != nil {
		_ = c.dev.Sync() // latched
	}
}

func (c *card) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mem.close()
	if c.dev == nil {
		return nil
	}
	return c.dev.Close()
}

// run queues one operation: alone, not at all after a failure, and with a panic (a shape that does not fit) turned into the failure.
func (c *card) run(name string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Err() != nil {
		return
	}
	defer func() {
		switch r := recover().(type) {
		case nil, noScratch: // latched where it was found
		default:
			c.Fail(fmt.Errorf("computing %s: %v", name, r))
		}
	}()
	f()
}

// launch queues a kernel.
func (c *card) launch(name string, g driver.Grid, args ...any) {
	if c.dev != nil {
		c.dev.Launch(name, g, args...)
	}
}

// threads is the block size of all kernels but attention's.
const threads = 256

// each is the grid for n independent elements: a card has at most some hundred thousand threads, which then take several each.
func each(n int) driver.Grid { return driver.Grid{X: min((n+threads-1)/threads, 8192), Block: threads} }

// blocks is the grid of one block for each of n things.
func blocks(n int) driver.Grid { return driver.Grid{X: n, Block: threads} }
