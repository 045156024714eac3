package cuda

import "unsafe"

// stagingBytes is the page-locked memory that copies pass through: the card reads it by itself, and Go's memory is never lent to it.
const stagingBytes = 16 << 20

// staging is a ring: a copy takes the next free part, and the stream is waited for only where the ring begins anew.
type staging struct {
	memory unsafe.Pointer
	next   int
}

func (s *staging) open() error {
	return call("cuMemHostAlloc", uintptr(unsafe.Pointer(&s.memory)), stagingBytes, 0)
}

func (s *staging) close() {
	if s.memory != nil {
		_ = call("cuMemFreeHost", uintptr(s.memory))
	}
}

// part is n bytes of the ring, n at most half of it.
func (s *staging) part(d *Device, n int) ([]byte, error) {
	if s.next+n > stagingBytes {
		if err := d.synchronise(); err != nil {
			return nil, err
		}
		s.next = 0
	}
	from := s.next
	s.next += (n + 255) &^ 255
	return unsafe.Slice((*byte)(s.memory), stagingBytes)[from : from+n : from+n], nil
}

// Memory returns the free and total memory of the device in bytes.
func (d *Device) Memory() (free, total int64, err error) {
	err = d.await(func() error {
		return call("cuMemGetInfo_v2", uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))
	})
	return free, total, err
}

// Alloc takes n bytes. An error for which errors.Is(err, ErrOutOfMemory) holds leaves the device usable.
func (d *Device) Alloc(n int64) (Pointer, error) {
	var p Pointer
	err := d.await(func() error { return call("cuMemAlloc_v2", uintptr(unsafe.Pointer(&p)), uintptr(n)) })
	return p, err
}

// Free gives memory back when what was queued before is done.
func (d *Device) Free(p Pointer) {
	d.do(func() error {
		if err := d.synchronise(); err != nil {
			return err
		}
		return call("cuMemFree_v2", uintptr(p))
	})
}

// Zero sets n bytes to 0.
func (d *Device) Zero(p Pointer, n int64) {
	d.do(func() error { return call("cuMemsetD8Async", uintptr(p), 0, uintptr(n), d.stream) })
}

// Upload copies src to the card. src may be changed when it returns.
func (d *Device) Upload(dst Pointer, src []byte) {
	d.fail(d.await(func() error {
		for len(src) > 0 {
			part, err := d.staging.part(d, min(len(src), stagingBytes/2))
			if err != nil {
				return err
			}
			n := copy(part, src)
			if err := call("cuMemcpyHtoDAsync_v2", uintptr(dst), uintptr(unsafe.Pointer(&part[0])), uintptr(n), d.stream); err != nil {
				return err
			}
			dst, src = dst+Pointer(n), src[n:]
		}
		return nil
	}))
}

// Download copies from the card, after everything asked for before.
func (d *Device) Download(dst []byte, src Pointer) {
	d.fail(d.await(func() error {
		for len(dst) > 0 {
			part, err := d.staging.part(d, min(len(dst), stagingBytes/2))
			if err != nil {
				return err
			}
			if err := call("cuMemcpyDtoHAsync_v2", uintptr(unsafe.Pointer(&part[0])), uintptr(src), uintptr(len(part)), d.stream); err != nil {
				return err
			}
			if err := d.synchronise(); err != nil {
				return err
			}
			n := copy(dst, part)
			dst, src = dst[n:], src+Pointer(n)
		}
		return nil
	}))
}
