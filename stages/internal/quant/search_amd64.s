#include "go_asm.h"
#include "textflag.h"

// The searches of lanes.go with one sub-block a lane: every lane does the operations of the Go
// code in their order, unfused, so its bits are the same.
//
// Registers that keep their meaning: R8 x, R9 weights, R10 codes, each of columns of 32 bytes;
// Y15 1.5·2²³, Y14 mantissa mask, Y13 and Y12 least and largest mantissa of a code, Y11 exponent
// of 2²³, Y10 base or element of largest magnitude, Y9 inverse.

#define BROADCAST(value, xreg, yreg) \
	MOVL $value, AX; \
	VMOVD AX, xreg; \
	VPBROADCASTD xreg, yreg

// ROUND turns numbers into mantissas of their nearest codes.
#define ROUND(y) \
	VADDPS Y15, y, y; \
	VPAND Y14, y, y; \
	VPMAXSD Y13, y, y; \
	VPMINSD Y12, y, y

// CODE turns numbers into codes, as floats.
#define CODE(y) \
	ROUND(y); \
	VPOR Y11, y, y; \
	VSUBPS Y15, y, y

// ENCODE fills the codes for inverse Y9 and base Y10; Y8 Σw·l, Y7 Σw·l², Y6 Σw·l·x.
#define ENCODE(loop) \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7; \
	VXORPS Y8, Y8, Y8; \
	XORL BX, BX; \
loop: \
	VMOVUPS (R8)(BX*1), Y0; \
	VSUBPS Y10, Y0, Y1; \
	VMULPS Y1, Y9, Y1; \
	CODE(Y1); \
	VMOVUPS Y1, (R10)(BX*1); \
	VMULPS (R9)(BX*1), Y1, Y2; \
	VADDPS Y2, Y8, Y8; \
	VMULPS Y1, Y2, Y3; \
	VADDPS Y3, Y7, Y7; \
	VMULPS Y0, Y2, Y2; \
	VADDPS Y2, Y6, Y6; \
	ADDQ $32, BX; \
	CMPQ BX, $1024; \
	JLT loop

// LOSS is Σ w·(scale·l + base − x)² in Y3 for scale Y4 and base Y5; only Y0 is used besides.
#define LOSS(loop) \
	VXORPS Y3, Y3, Y3; \
	XORL BX, BX; \
loop: \
	VMULPS (R10)(BX*1), Y4, Y0; \
	VADDPS Y5, Y0, Y0; \
	VSUBPS (R8)(BX*1), Y0, Y0; \
	VMULPS Y0, Y0, Y0; \
	VMULPS (R9)(BX*1), Y0, Y0; \
	VADDPS Y0, Y3, Y3; \
	ADDQ $32, BX; \
	CMPQ BX, $1024; \
	JLT loop

#define MIN_CONSTANTS \
	LEAQ minSearch_x(SI), R8; \
	LEAQ minSearch_weight(SI), R9; \
	LEAQ minSearch_code(SI), R10; \
	BROADCAST(0x4b400000, X15, Y15); \
	BROADCAST(0x007fffff, X14, Y14); \
	BROADCAST(0x00400000, X13, Y13); \
	CVTTSS2SL minSearch_top(SI), AX; \
	ADDL $0x00400000, AX; \
	VMOVD AX, X12; \
	VPBROADCASTD X12, Y12; \
	BROADCAST(0x4b000000, X11, Y11)

// func searchMinAVX2(s *minSearch)
//
// On the stack: 0 highest element, 32 Σw, 64 Σw·x, 96 best loss, 128 lowest element or 0.
TEXT ·searchMinAVX2(SB), 0, $160-8
	MOVQ s+0(FP), SI
	MIN_CONSTANTS

	VMOVUPS (R8), Y0
	VMOVAPS Y0, Y1
	VMOVUPS (R9), Y2
	VMULPS Y0, Y2, Y3
	MOVQ $32, BX
bounds:
	VMOVUPS (R8)(BX*1), Y4
	VMOVUPS (R9)(BX*1), Y5
	VMINPS Y0, Y4, Y0
	VMAXPS Y1, Y4, Y1
	VADDPS Y5, Y2, Y2
	VMULPS Y4, Y5, Y5
	VADDPS Y5, Y3, Y3
	ADDQ $32, BX
	CMPQ BX, $1024
	JLT bounds

	VXORPS Y4, Y4, Y4
	VMINPS Y0, Y4, Y10
	VMOVUPS Y1, 0(SP)
	VMOVUPS Y2, 32(SP)
	VMOVUPS Y3, 64(SP)
	VMOVUPS Y10, 128(SP)

	// First guess: the whole range.
	VBROADCASTSS minSearch_top(SI), Y4
	VSUBPS Y10, Y1, Y5
	VDIVPS Y5, Y4, Y9
	VMOVUPS Y9, minSearch_inverse(SI)
	VMOVUPS Y10, minSearch_base(SI)
	ENCODE(guess)
	BROADCAST(0x3f800000, X4, Y4)
	VDIVPS Y9, Y4, Y4
	VMOVAPS Y10, Y5
	LOSS(guessLoss)
	VMOVUPS Y3, 96(SP)
	VMOVUPS Y4, minSearch_scale(SI)

	MOVQ minSearch_numerators(SI), DX
	MOVQ minSearch_numerators+8(SI), CX
	TESTQ CX, CX
	JZ done

candidate:
	VBROADCASTSS (DX), Y0
	VMOVUPS 0(SP), Y1
	VSUBPS Y10, Y1, Y1
	VDIVPS Y1, Y0, Y9
	ENCODE(encode)

	VMOVUPS 32(SP), Y0
	VMULPS Y7, Y0, Y1
	VMULPS Y8, Y8, Y2
	VSUBPS Y2, Y1, Y1 // determinant
	VXORPS Y3, Y3, Y3
	VCMPPS $0x1e, Y3, Y1, Y2 // > 0
	VMULPS Y6, Y0, Y4
	VMOVUPS 64(SP), Y3
	VMULPS Y8, Y3, Y5
	VSUBPS Y5, Y4, Y4
	VDIVPS Y1, Y4, Y4 // scale
	VMULPS Y7, Y3, Y5
	VMULPS Y8, Y6, Y0
	VSUBPS Y0, Y5, Y5
	VDIVPS Y1, Y5, Y5 // base
	VXORPS Y3, Y3, Y3
	VCMPPS $0x1e, Y3, Y5, Y0 // base > 0: it is 0 then
	VDIVPS Y7, Y6, Y1
	VBLENDVPS Y0, Y1, Y4, Y4
	VANDNPS Y5, Y0, Y5
	LOSS(loss)

	VMOVUPS 96(SP), Y0
	VCMPPS $0x11, Y0, Y3, Y1 // less
	VANDPS Y2, Y1, Y1
	VBLENDVPS Y1, Y3, Y0, Y0
	VMOVUPS Y0, 96(SP)
	VMOVUPS minSearch_scale(SI), Y0
	VBLENDVPS Y1, Y4, Y0, Y0
	VMOVUPS Y0, minSearch_scale(SI)
	VMOVUPS minSearch_inverse(SI), Y0
	VBLENDVPS Y1, Y9, Y0, Y0
	VMOVUPS Y0, minSearch_inverse(SI)
	VMOVUPS minSearch_base(SI), Y0
	VBLENDVPS Y1, Y10, Y0, Y0
	VMOVUPS Y0, minSearch_base(SI)
	VBLENDVPS Y1, Y5, Y10, Y10
	ADDQ $4, DX
	DECQ CX
	JNZ candidate

done:
	// Constant sub-blocks have scale 0 and the lowest element as base.
	VMOVUPS 0(SP), Y0
	VMOVUPS 128(SP), Y1
	VCMPPS $0, Y1, Y0, Y2
	VBLENDVPS Y2, Y1, Y10, Y10
	BROADCAST(0x80000000, X3, Y3)
	VXORPS Y3, Y10, Y10
	VMOVUPS Y10, minSearch_min(SI)
	VMOVUPS minSearch_base(SI), Y4
	VBLENDVPS Y2, Y1, Y4, Y4
	VMOVUPS Y4, minSearch_base(SI)
	VANDNPS minSearch_scale(SI), Y2, Y4
	VMOVUPS Y4, minSearch_scale(SI)
	VANDNPS minSearch_inverse(SI), Y2, Y4
	VMOVUPS Y4, minSearch_inverse(SI)
	VZEROUPPER
	RET

// func weighByMagnitudeAVX2(s *minSearch)
TEXT ·weighByMagnitudeAVX2(SB), NOSPLIT, $0-8
	MOVQ s+0(FP), SI
	LEAQ minSearch_x(SI), R8
	LEAQ minSearch_weight(SI), R9
	VXORPS Y1, Y1, Y1
	XORL BX, BX
square:
	VMOVUPS (R8)(BX*1), Y0
	VMULPS Y0, Y0, Y0
	VADDPS Y0, Y1, Y1
	ADDQ $32, BX
	CMPQ BX, $1024
	JLT square
	BROADCAST(0x3d000000, X2, Y2) // 1/32
	VMULPS Y2, Y1, Y1
	VSQRTPS Y1, Y1
	BROADCAST(0x7fffffff, X2, Y2)
	XORL BX, BX
weigh:
	VANDPS (R8)(BX*1), Y2, Y0
	VADDPS Y0, Y1, Y0
	VMOVUPS Y0, (R9)(BX*1)
	ADDQ $32, BX
	CMPQ BX, $1024
	JLT weigh
	VZEROUPPER
	RET

// PACK stores the bytes of four columns of whole numbers Y0 … Y3 as four words.
#define PACK(to) \
	VPACKUSDW Y1, Y0, Y0; \
	VPACKUSDW Y3, Y2, Y2; \
	VPACKUSWB Y2, Y0, Y0; \
	VPERMD Y0, Y8, Y0; \
	VMOVDQU Y0, to

DATA interleave<>+0(SB)/8, $0x0000000400000000
DATA interleave<>+8(SB)/8, $0x0000000500000001
DATA interleave<>+16(SB)/8, $0x0000000600000002
DATA interleave<>+24(SB)/8, $0x0000000700000003
GLOBL interleave<>(SB), RODATA|NOPTR, $32

#define ROUND_MIN(offset, y) \
	VADDPS offset(R8), Y7, y; \
	VDIVPS Y6, y, y; \
	ROUND(y); \
	VPSUBD Y13, y, y

// func roundMinAVX2(s *minSearch, steps, bases *column, codes *minCodes)
TEXT ·roundMinAVX2(SB), NOSPLIT, $0-32
	MOVQ s+0(FP), SI
	MIN_CONSTANTS
	MOVQ steps+8(FP), DX
	VMOVUPS (DX), Y6
	MOVQ bases+16(FP), DX
	VMOVUPS (DX), Y7
	MOVQ codes+24(FP), DI
	VMOVDQU interleave<>(SB), Y8
	MOVQ $8, CX
four:
	ROUND_MIN(0, Y0)
	ROUND_MIN(32, Y1)
	ROUND_MIN(64, Y2)
	ROUND_MIN(96, Y3)
	PACK((DI))
	ADDQ $128, R8
	ADDQ $32, DI
	DECQ CX
	JNZ four
	VZEROUPPER
	RET

#define EVEN_CONSTANTS \
	LEAQ evenSearch_x(SI), R8; \
	LEAQ evenSearch_weight(SI), R9; \
	BROADCAST(0x4b400000, X15, Y15); \
	BROADCAST(0x007fffff, X14, Y14); \
	CVTTSS2SL evenSearch_top(SI), R11; \
	MOVL $0x00400000, AX; \
	SUBL R11, AX; \
	VMOVD AX, X13; \
	VPBROADCASTD X13, Y13; \
	MOVL $0x003fffff, AX; \
	ADDL R11, AX; \
	VMOVD AX, X12; \
	VPBROADCASTD X12, Y12; \
	BROADCAST(0x4b000000, X11, Y11)

// SUMS is Σw·x·l in Y6 and Σw·l² in Y7 for inverse Y9 over R12 bytes of columns.
#define SUMS(loop) \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7; \
	XORL BX, BX; \
loop: \
	VMOVUPS (R8)(BX*1), Y0; \
	VMULPS Y0, Y9, Y1; \
	CODE(Y1); \
	VMOVUPS (R9)(BX*1), Y2; \
	VMULPS Y0, Y2, Y3; \
	VMULPS Y1, Y3, Y3; \
	VADDPS Y3, Y6, Y6; \
	VMULPS Y1, Y2, Y2; \
	VMULPS Y1, Y2, Y2; \
	VADDPS Y2, Y7, Y7; \
	ADDQ $32, BX; \
	CMPQ BX, R12; \
	JLT loop

// func searchEvenAVX2(s *evenSearch)
//
// On the stack: 0 largest magnitude. Y8 is scale, Y5 best.
TEXT ·searchEvenAVX2(SB), 0, $32-8
	MOVQ s+0(FP), SI
	EVEN_CONSTANTS
	MOVQ evenSearch_n(SI), R12
	SHLQ $5, R12

	BROADCAST(0x7fffffff, X5, Y5)
	VXORPS Y0, Y0, Y0
	VXORPS Y10, Y10, Y10
	XORL BX, BX
largest:
	VMOVUPS (R8)(BX*1), Y2
	VANDPS Y5, Y2, Y3
	VCMPPS $0x1e, Y0, Y3, Y4
	VBLENDVPS Y4, Y2, Y10, Y10
	VBLENDVPS Y4, Y3, Y0, Y0
	ADDQ $32, BX
	CMPQ BX, R12
	JLT largest
	VMOVUPS Y0, 0(SP)

	MOVQ evenSearch_numerators(SI), DX
	MOVQ evenSearch_numerators+8(SI), CX
	VBROADCASTSS (DX), Y0
	VDIVPS Y10, Y0, Y9
	VMOVUPS Y9, evenSearch_inverse(SI)
	SUMS(first)
	VXORPS Y0, Y0, Y0
	VCMPPS $0x04, Y0, Y7, Y1 // not 0
	VDIVPS Y7, Y6, Y8
	VANDPS Y1, Y8, Y8
	VMULPS Y6, Y8, Y5
	JMP next

candidate:
	VBROADCASTSS (DX), Y0
	VDIVPS Y10, Y0, Y9
	SUMS(sums)
	VXORPS Y0, Y0, Y0
	VCMPPS $0x1e, Y0, Y7, Y1
	VMULPS Y6, Y6, Y2
	VMULPS Y7, Y5, Y3
	VCMPPS $0x1e, Y3, Y2, Y2
	VANDPS Y2, Y1, Y1
	VDIVPS Y7, Y6, Y2
	VBLENDVPS Y1, Y2, Y8, Y8
	VMULPS Y6, Y2, Y2
	VBLENDVPS Y1, Y2, Y5, Y5
	VMOVUPS evenSearch_inverse(SI), Y0
	VBLENDVPS Y1, Y9, Y0, Y0
	VMOVUPS Y0, evenSearch_inverse(SI)
next:
	ADDQ $4, DX
	DECQ CX
	JNZ candidate

	BROADCAST(0x26901d7d, X0, Y0) // tinyScale
	VMOVUPS 0(SP), Y1
	VCMPPS $0x11, Y0, Y1, Y1
	VANDNPS Y8, Y1, Y8
	VMOVUPS Y8, evenSearch_scale(SI)
	VANDNPS evenSearch_inverse(SI), Y1, Y2
	VMOVUPS Y2, evenSearch_inverse(SI)
	VZEROUPPER
	RET

#define ROUND_EVEN(offset, y) \
	VMOVUPS offset(R8), y; \
	VDIVPS Y6, y, y; \
	ROUND(y); \
	VPSUBD Y13, y, y

// func roundEvenAVX2(s *evenSearch, steps *column, codes *evenCodes)
TEXT ·roundEvenAVX2(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), SI
	EVEN_CONSTANTS
	MOVQ steps+8(FP), DX
	VMOVUPS (DX), Y6
	MOVQ codes+16(FP), DI
	VMOVDQU interleave<>(SB), Y8
	MOVQ $4, CX
four:
	ROUND_EVEN(0, Y0)
	ROUND_EVEN(32, Y1)
	ROUND_EVEN(64, Y2)
	ROUND_EVEN(96, Y3)
	PACK((DI))
	ADDQ $128, R8
	ADDQ $32, DI
	DECQ CX
	JNZ four
	VZEROUPPER
	RET

// func acrossAVX2(columns *column, src *float32, n int)
//
// n is a multiple of 8; squares of 8 by 8 are transposed.
TEXT ·acrossAVX2(SB), NOSPLIT, $0-24
	MOVQ columns+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ CX, R8
	SHLQ $2, R8           // bytes a sub-block
	LEAQ (R8)(R8*2), R9   // of three
	LEAQ (SI)(R8*4), R10  // sub-block 4
square:
	VMOVUPS (SI), Y0
	VMOVUPS (SI)(R8*1), Y1
	VMOVUPS (SI)(R8*2), Y2
	VMOVUPS (SI)(R9*1), Y3
	VMOVUPS (R10), Y4
	VMOVUPS (R10)(R8*1), Y5
	VMOVUPS (R10)(R8*2), Y6
	VMOVUPS (R10)(R9*1), Y7
	VUNPCKLPS Y1, Y0, Y8
	VUNPCKHPS Y1, Y0, Y9
	VUNPCKLPS Y3, Y2, Y10
	VUNPCKHPS Y3, Y2, Y11
	VUNPCKLPS Y5, Y4, Y12
	VUNPCKHPS Y5, Y4, Y13
	VUNPCKLPS Y7, Y6, Y14
	VUNPCKHPS Y7, Y6, Y15
	VUNPCKLPD Y10, Y8, Y0
	VUNPCKHPD Y10, Y8, Y1
	VUNPCKLPD Y11, Y9, Y2
	VUNPCKHPD Y11, Y9, Y3
	VUNPCKLPD Y14, Y12, Y4
	VUNPCKHPD Y14, Y12, Y5
	VUNPCKLPD Y15, Y13, Y6
	VUNPCKHPD Y15, Y13, Y7
	VPERM2F128 $0x20, Y4, Y0, Y8
	VPERM2F128 $0x20, Y5, Y1, Y9
	VPERM2F128 $0x20, Y6, Y2, Y10
	VPERM2F128 $0x20, Y7, Y3, Y11
	VPERM2F128 $0x31, Y4, Y0, Y12
	VPERM2F128 $0x31, Y5, Y1, Y13
	VPERM2F128 $0x31, Y6, Y2, Y14
	VPERM2F128 $0x31, Y7, Y3, Y15
	VMOVUPS Y8, 0(DI)
	VMOVUPS Y9, 32(DI)
	VMOVUPS Y10, 64(DI)
	VMOVUPS Y11, 96(DI)
	VMOVUPS Y12, 128(DI)
	VMOVUPS Y13, 160(DI)
	VMOVUPS Y14, 192(DI)
	VMOVUPS Y15, 224(DI)
	ADDQ $32, SI
	ADDQ $32, R10
	ADDQ $256, DI
	SUBQ $8, CX
	JNZ square
	VZEROUPPER
	RET
