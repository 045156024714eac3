// Package phi3 is the Phi-3 architecture (Phi-4-mini's): its config.json, its
// weights, the training model assembled from spago operators, and inference with a
// key-value cache.
//
// The files follow the data: config*.go read and write config.json, rope*.go make
// the rotary tables, source.go and weights.go load tensors, merged.go puts an adapter
// into them, model.go is the forward pass in training (params.go and export.go bring
// its parameters in and out), runner.go the one in inference; score.go, session.go,
// generate*.go and evaluate.go use it. plan.go says what all this takes.
//
// Shapes in comments: T tokens of a packed batch, C hidden size, H query heads, K
// key-value heads, D head size, I intermediate size, V vocabulary.
package phi3
