package phi3

import "github.com/so8t/so8t/stages/internal/backend"

// Observer is shown what goes into a projection: rows [n, inputs], which it must not keep.
type Observer func(layer int, module string, rows []float32)

// Observe shows the input of every projection from now on; nil ends it.
func (r *Runner) Observe(o Observer) { r.observer = o }

// show downloads the input of module number k for the observer.
func (r *Runner) show(layer, k, rows int, x backend.Buffer) {
	_, in := r.Config.ModuleShape(Modules[k])
	host := make([]float32, rows*in)
	r.be.Download(host, r.be.View(x, 0, len(host)))
	r.observer(layer, Modules[k], host)
}
