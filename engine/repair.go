package engine

import (
	"context"

	"github.com/so8t/so8t/state"
)

// CheckState looks for damage in the state; see state.Check.
func (e *Engine) CheckState(ctx context.Context, opts state.CheckOptions) ([]state.Finding, error) {
	return state.Check(ctx, e.store.Dir(), opts)
}
