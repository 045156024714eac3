package cuda

import (
	"fmt"
	"math"
	"unsafe"
)

// kernel is a function of the module with the shared memory that it is allowed.
type kernel struct {
	function uintptr
	shared   int
}

// Grid is how many blocks run a kernel, and how they look.
type Grid struct {
	X, Y int // blocks; Y 0 is 1
	// Block is the number of threads, a multiple of 32.
	Block int
	// Shared is the dynamic shared memory of a block in bytes.
	Shared int
}

// plainShared is the shared memory that a block has without being allowed more.
const plainShared = 48 << 10

// launch holds the parameters of one launch where the driver finds them: a slot of 8 bytes each, of which it reads as many as the parameter
// has, and their addresses, with a nil at the end that the driver does not need.
type launch struct {
	slots     []uint64
	addresses []uintptr
}

// Launch queues a kernel. Arguments are Pointer, int (for int and long long), uint32, uint64, float32 and float64, as the kernel declares
// them: a float64 is a double.
func (d *Device) Launch(name string, g Grid, args ...any) {
	if g.X == 0 {
		return // nothing to do
	}
	l := &launch{slots: make([]uint64, len(args)), addresses: make([]uintptr, len(args)+1)}
	for i, a := range args {
		slot, ok := slotOf(a)
		if !ok {
			d.fail(fmt.Errorf("launching %s: argument %d is a %T", name, i, a))
			return
		}
		l.slots[i] = slot
	}
	d.do(func() error {
		k, err := d.kernel(name, g.Shared)
		if err != nil {
			return fmt.Errorf("launching %s: %w", name, err)
		}
		for i := range l.slots {
			l.addresses[i] = uintptr(unsafe.Pointer(&l.slots[i])) // the slots are on the heap, which does not move, and held by l
		}
		err = d.timed(name, func() error {
			return call("cuLaunchKernel", k.function, uintptr(g.X), uintptr(max(1, g.Y)), 1, uintptr(g.Block), 1, 1, uintptr(g.Shared), d.stream,
				uintptr(unsafe.Pointer(&l.addresses[0])), 0)
		})
		if err != nil {
			return fmt.Errorf("launching %s: %w", name, err)
		}
		return nil
	})
}

func slotOf(a any) (uint64, bool) {
	switch v := a.(type) {
	case Pointer:
		return uint64(v), true
	case int:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	case float32:
		return uint64(math.Float32bits(v)), true
	case float64:
		return math.Float64bits(v), true
	}
	return 0, false
}

// kernel finds a function, once, and allows it the shared memory.
func (d *Device) kernel(name string, shared int) (kernel, error) {
	k, known := d.kernels[name]
	if known && shared <= max(k.shared, plainShared) {
		return k, nil
	}
	if !known {
		s := append([]byte(name), 0)
		if err := call("cuModuleGetFunction", uintptr(unsafe.Pointer(&k.function)), d.module, uintptr(unsafe.Pointer(&s[0]))); err != nil {
			return k, err
		}
	}
	if shared > plainShared {
		const mostDynamicShared = 8
		if shared > int(d.mostShared) {
			return k, fmt.Errorf("it needs %d bytes of shared memory, this card allows %d", shared, d.mostShared)
		}
		if err := call("cuFuncSetAttribute", k.function, mostDynamicShared, uintptr(shared)); err != nil {
			return k, err
		}
		k.shared = shared
	}
	d.kernels[name] = k
	return k, nil
}
