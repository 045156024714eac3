// Package loop is the training loop: batches in, trained parameters, a curve and
// checkpoints out.
//
// spago is the trainer. Its autograd builds and runs the graph that the model records, its
// nn.Params hold and accumulate the gradients, its optimiser loop applies the updates
// through a spago OptimizationStrategy (AdamW); the kernels below are ours.
//
// Nothing here draws from a random stream. The order of the data is a function of
// (seed, epoch), whatever else is random of (seed, step, …), and the state between two
// optimiser steps is: parameters, AdamW moments, step, and the record of what was best.
// So a run that is killed and continued from a checkpoint ends with the same bits as one
// that was not, on the same backend with the same number of threads.
//
// It knows neither files of models nor stages; a stage hands it a Model and Rows.
package loop
