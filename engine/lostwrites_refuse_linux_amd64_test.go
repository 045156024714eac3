package engine_test

import "syscall"

// canRefuse: this processor's registers are known to the tracer.
const canRefuse = true

// refuse keeps a call that a thread enters from happening.
func (c *call) refuse() error {
	return c.registers(func(r *syscall.PtraceRegs) { r.Orig_rax = ^uint64(0) })
}

// fail makes a call that was kept from happening return an error.
func (c *call) fail(number syscall.Errno) error {
	return c.registers(func(r *syscall.PtraceRegs) { r.Rax = -uint64(number) })
}

func (c *call) registers(change func(*syscall.PtraceRegs)) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(c.tid, &r); err != nil {
		return err
	}
	change(&r)
	return syscall.PtraceSetRegs(c.tid, &r)
}
