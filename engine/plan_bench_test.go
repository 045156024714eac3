package engine_test

import (
	"testing"

	"github.com/so8t/so8t/engine"
)

// BenchmarkPlan plans 1,000 stages that are all done: reading, deciding and verifying outputs.
func BenchmarkPlan(b *testing.B) {
	h := open(b, project(b, noops("wide", 1000)))
	h.run(engine.Selection{}, nil)
	for b.Loop() {
		h.plan(engine.Selection{}, nil)
	}
}
