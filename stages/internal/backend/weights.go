package backend

// Kind is how a frozen weight is stored.
type Kind int

const (
	// Float32 weights are used as they are, without a copy: the slice must outlive the Weight.
	Float32 Kind = iota
	// BFloat16 weights are the upper half of a float32 each.
	BFloat16
	// Int8 weights have one float32 scale per row: w[i][j] = scale[i] * code[i][j].
	Int8
	// NF4 weights have 4 bits each, and scales for blocks of NF4Block: see NF4Scales.
	NF4
	// Blocks weights lie in blocks of a foreign format, as in a GGUF file: see BlockFormat.
	Blocks
)

func (k Kind) String() string {
	switch k {
	case Float32:
		return "f32"
	case BFloat16:
		return "bf16"
	case Int8:
		return "int8"
	case NF4:
		return "nf4"
	case Blocks:
		return "blocks"
	}
	return "unknown"
}

// BlockFormat says how numbers lie in blocks. Rows hold whole blocks.
type BlockFormat struct {
	Name            string // as GGUF calls it: "F16", "Q8_0", "Q4_K", …
	Elements, Bytes int    // of a block
	// Decode writes len(dst) numbers, whole blocks. A backend that knows the format by its name may read it by itself: the numbers are
	// the same, and activations are never rounded to fewer bits, so that what is computed is the model that the file holds and nothing else.
	Decode func(dst []float32, src []byte)
}

// Size is the bytes of n numbers, whole blocks.
func (f BlockFormat) Size(n int) int { return n / f.Elements * f.Bytes }

// WeightData is a frozen matrix on the host, [Rows = outputs, Cols = inputs] as in safetensors. Exactly the fields of its Kind are set.
type WeightData struct {
	Kind       Kind
	Rows, Cols int
	F32        []float32
	BF16       []uint16
	Int8       []int8
	Scales     []float32
	// NF4 holds two codes a byte in row-major order, the first in the high half.
	NF4       []uint8
	NF4Scales NF4Scales
	// Raw holds the rows of Format one behind the other.
	Format BlockFormat
	Raw    []byte
}

// Weight is a matrix on the device in whatever storage it has.
type Weight interface {
	Kind() Kind
	Rows() int
	Cols() int
}

// Weights makes weight handles.
type Weights interface {
	// NewWeight takes a frozen matrix. Host memory may be aliased, so it can be a mapped file.
	NewWeight(WeightData) Weight
	// WeightOf is a trainable matrix seen as a weight: it reads b at every use.
	WeightOf(b Buffer, rows, cols int) Weight
	// WeightRows is rows [from, to) of w without copying.
	WeightRows(w Weight, from, to int) Weight
	// ReleaseWeight gives back what NewWeight took.
	ReleaseWeight(Weight)
}

// Mat is a matrix inside a buffer: element (i, j) is at Off + i*LD + j.
type Mat struct {
	Buf     Buffer
	Off, LD int
}

// Matmul multiplies. alpha and beta as in BLAS; with beta = 0 the old contents are not read.
type Matmul interface {
	// Gemm is C[m,n] = alpha op(A)[m,k] op(B)[k,n] + beta C, op being the transpose when ta or tb is set.
	Gemm(ta, tb bool, m, n, k int, alpha float64, a, b Mat, beta float64, c Mat)
	// Linear is y[rows, w.Rows] = x[rows, w.Cols] Wᵀ + beta y.
	Linear(y, x Buffer, w Weight, rows int, beta float64)
	// LinearBack is gx[rows, w.Cols] = gy[rows, w.Rows] W + beta gx.
	LinearBack(gx, gy Buffer, w Weight, rows int, beta float64)
}
