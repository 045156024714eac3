// Package so8t is the SO(8) gate: a block-diagonal rotation applied to the output
// of an attention block's output projection, everything that follows from it
// (fold, angles, files), LoRA adapters in PEFT's format, and the schedule of PET.
//
// Conventions. Activations are row vectors, a linear layer stores W[out,in] and
// computes y = x·Wᵀ. The gate acts on groups of 8 channels: y = x·blockdiag(R).
// R is the Cayley map of a skew matrix A with 28 free entries:
// R = (I - A/2)⁻¹ (I + A/2), so it is orthogonal with determinant +1 whatever the
// parameters are, and exactly the identity at zero. Right after a linear layer
// such a gate is a reparameterisation of that layer: W' = blockdiag(R)ᵀ·W.
//
// Everything here is plain float64, for what is done once: exporting, measuring,
// reading. The gate and PET of training are in ops and backend, tested against the
// same fixtures.
package so8t
