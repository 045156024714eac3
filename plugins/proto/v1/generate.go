// Package pluginv1 is generated from stage.proto: the messages and the service that a plugin
// and the engine speak. Only plugins/internal/wire uses it; everyone else has the Go types of
// package plugins.
package pluginv1

//go:generate go run ../generate . stage.proto ../../examples/evaluator-python ../../examples/stage-python
