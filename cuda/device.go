package cuda

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

const (
	// oldestDriver is the CUDA version whose driver (530) compiles the embedded PTX.
	oldestDriver = 12010
	// queueLength bounds how far the caller runs ahead of the thread that calls the driver.
	queueLength = 1024
	// workspace is what cuBLAS may use; fixed, so that it chooses the same algorithms every time.
	workspace = 32 << 20

	attributeMajor, attributeMinor, attributeShared = 75, 76, 97
)

// Device is one card with its primary context retained. Its methods may be called from any goroutine.
type Device struct {
	info  Info
	queue chan func()
	ended chan struct{}

	mu  sync.Mutex
	err error // the first failure

	// What follows belongs to the device's thread.
	number                        int32
	context, stream, module, blas uintptr
	kernels                       map[string]kernel
	workspace                     Pointer
	mostShared                    int32 // bytes a block may have
	staging                       staging
	timing                        *timing
}

// Open opens the card of the given index, 0 for the first that CUDA_VISIBLE_DEVICES leaves.
func Open(index int) (*Device, error) {
	if err := load(); err != nil {
		return nil, err
	}
	d := &Device{queue: make(chan func(), queueLength), ended: make(chan struct{}), kernels: map[string]kernel{}}
	go d.work()
	if err := d.await(func() error { return d.open(index) }); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("%w: opening card %d: %w", ErrUnavailable, index, err)
	}
	return d, nil
}

// work is the device's thread. A context belongs to a thread, so this one is never given back to Go while the context is current.
func (d *Device) work() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(d.ended)
	for f := range d.queue {
		f()
	}
}

// do queues f, which is skipped after a failure; what it returns is latched.
func (d *Device) do(f func() error) {
	d.queue <- func() {
		if d.Err() == nil {
			d.fail(f())
		}
	}
}

// await runs f after everything queued before it and returns its error, or the failure that kept it from running.
func (d *Device) await(f func() error) error {
	result := make(chan error, 1)
	d.queue <- func() {
		if err := d.Err(); err != nil {
			result <- err
			return
		}
		result <- f()
	}
	return <-result
}

// Err is the first failure of queued work, nil while all is well.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *Device) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

func (d *Device) open(index int) error {
	if err := d.find(index); err != nil {
		return err
	}
	if d.info.Driver < oldestDriver {
		return fmt.Errorf("the driver supports CUDA %d.%d, which is too old: 12.1 (driver 530) or newer is needed", d.info.Driver/1000, d.info.Driver%1000/10)
	}
	ptx, err := PTX(d.info.Major, d.info.Minor)
	if err != nil {
		return err
	}
	if err := call("cuDevicePrimaryCtxRetain", uintptr(unsafe.Pointer(&d.context)), uintptr(d.number)); err != nil {
		return err
	}
	if err := call("cuCtxSetCurrent", d.context); err != nil {
		return err
	}
	const nonBlocking = 1
	if err := call("cuStreamCreate", uintptr(unsafe.Pointer(&d.stream)), nonBlocking); err != nil {
		return err
	}
	if err := call("cuModuleLoadData", uintptr(unsafe.Pointer(&d.module)), uintptr(unsafe.Pointer(&ptx[0]))); err != nil {
		return err
	}
	if err := d.staging.open(); err != nil {
		return err
	}
	return d.openBLAS()
}

// find fills the device's description.
func (d *Device) find(index int) error {
	var count, driver, major, minor int32
	var memory uint64
	var name [256]byte
	if err := call("cuInit", 0); err != nil {
		return err
	}
	if err := call("cuDriverGetVersion", uintptr(unsafe.Pointer(&driver))); err != nil {
		return err
	}
	if err := call("cuDeviceGetCount", uintptr(unsafe.Pointer(&count))); err != nil {
		return err
	}
	if index >= int(count) {
		return fmt.Errorf("the driver sees %d cards", count)
	}
	if err := call("cuDeviceGet", uintptr(unsafe.Pointer(&d.number)), uintptr(index)); err != nil {
		return err
	}
	if err := call("cuDeviceGetName", uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(d.number)); err != nil {
		return err
	}
	for what, where := range map[uintptr]*int32{attributeMajor: &major, attributeMinor: &minor, attributeShared: &d.mostShared} {
		if err := call("cuDeviceGetAttribute", uintptr(unsafe.Pointer(where)), what, uintptr(d.number)); err != nil {
			return err
		}
	}
	if err := call("cuDeviceTotalMem_v2", uintptr(unsafe.Pointer(&memory)), uintptr(d.number)); err != nil {
		return err
	}
	d.info = Info{Name: text(name[:]), Major: int(major), Minor: int(minor), Memory: int64(memory), Driver: int(driver), BLAS: loaded.blas}
	return nil
}

// text is a string that ends with a zero byte.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// Info says what was opened.
func (d *Device) Info() Info { return d.info }

// Sync waits until everything asked for is done, and returns the first failure.
func (d *Device) Sync() error {
	err := d.await(d.synchronise)
	d.fail(err)
	return err
}

func (d *Device) synchronise() error { return call("cuStreamSynchronize", d.stream) }

// Close waits for what is running and gives everything back. The device must not be used afterwards.
func (d *Device) Close() error {
	d.queue <- d.close
	close(d.queue)
	<-d.ended
	return d.Err()
}

// close gives back what open took, as far as it came. After a failure the calls here fail too; the process's end frees the rest.
func (d *Device) close() {
	if d.context == 0 {
		return
	}
	if d.stream != 0 {
		_ = d.synchronise()
	}
	if d.blas != 0 {
		_ = call("cublasDestroy_v2", d.blas)
	}
	if d.workspace != 0 {
		_ = call("cuMemFree_v2", uintptr(d.workspace))
	}
	d.staging.close()
	if d.module != 0 {
		_ = call("cuModuleUnload", d.module)
	}
	if d.stream != 0 {
		_ = call("cuStreamDestroy_v2", d.stream)
	}
	_ = call("cuDevicePrimaryCtxRelease_v2", uintptr(d.number))
}
