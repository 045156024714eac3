package stages

import "github.com/so8t/so8t/stages/modeltool"

// Tool is one command of `so8t model`, working on model files between stages.
type Tool = modeltool.Tool

// Tools returns the tools that share the stages' code, in the order of help.
func Tools() []Tool { return modeltool.Tools() }

// Probe looks for one thing that stages can use: kernels, a library, a GPU, a server.
type Probe = modeltool.Probe

// Probes returns what `so8t doctor` looks for on behalf of the stages.
func Probes() []Probe { return modeltool.Probes() }

// GPUs lists the ids of the machine's GPUs, as CUDA_VISIBLE_DEVICES takes them.
func GPUs() []string { return modeltool.GPUs() }
