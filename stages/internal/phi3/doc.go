// Package phi3 is the Phi-3 architecture (Phi-4-mini's): its config.json, its
// weights, the training model assembled from spago operators, and inference with a
// key-value cache.
//
// The files follow the data: config*.go read and write config.json, rope.go makes
// the rotary tables, weights.go loads tensors, model.go is the forward pass in
// training, runner.go the one in inference, score.go and generate.go use it.
//
// Shapes in comments: T tokens of a packed batch, C hidden size, H query heads, K
// key-value heads, D head size, I intermediate size, V vocabulary.
package phi3
