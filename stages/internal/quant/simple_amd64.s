#include "textflag.h"

#define BROADCAST(value, xreg, yreg) \
	MOVL $value, AX; \
	VMOVD AX, xreg; \
	VPBROADCASTD xreg, yreg

// HALF rounds float32 bits in y to float16 as half does: Y8 magnitude mask, Y9 0xfff, Y10 1,
// Y11 112·2¹⁰, Y12 0.5, Y13 2⁻¹⁴, Y14 just below what is too large, Y15 infinity,
// Y2 and Y3 infinity and a NaN in float16.
#define HALF(y) \
	VPAND Y8, y, Y4; \
	VPXOR Y4, y, Y5; \
	VPSRLD $16, Y5, Y5; \
	VPSRLD $13, Y4, Y6; \
	VPAND Y10, Y6, Y6; \
	VPADDD Y9, Y6, Y6; \
	VPADDD Y4, Y6, Y6; \
	VPSRLD $13, Y6, Y6; \
	VPSUBD Y11, Y6, Y6; \
	VADDPS Y12, Y4, Y7; \
	VPSUBD Y12, Y7, Y7; \
	VPCMPGTD Y4, Y13, y; \
	VPBLENDVB y, Y7, Y6, Y6; \
	VPCMPGTD Y14, Y4, y; \
	VPBLENDVB y, Y2, Y6, Y6; \
	VPCMPGTD Y15, Y4, y; \
	VPBLENDVB y, Y3, Y6, Y6; \
	VPOR Y5, Y6, y

// func encodeF16AVX2(dst *byte, src *float32, n int)
//
// n is a multiple of 16.
TEXT ·encodeF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	BROADCAST(0x7fffffff, X8, Y8)
	BROADCAST(0x00000fff, X9, Y9)
	BROADCAST(0x00000001, X10, Y10)
	BROADCAST(0x0001c000, X11, Y11)
	BROADCAST(0x3f000000, X12, Y12)
	BROADCAST(0x38800000, X13, Y13)
	BROADCAST(0x477fefff, X14, Y14)
	BROADCAST(0x7f800000, X15, Y15)
	BROADCAST(0x00007c00, X2, Y2)
	BROADCAST(0x00007e00, X3, Y3)
sixteen:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	HALF(Y0)
	HALF(Y1)
	VPACKUSDW Y1, Y0, Y0
	VPERMQ $0xd8, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $64, SI
	ADDQ $32, DI
	SUBQ $16, CX
	JNZ sixteen
	VZEROUPPER
	RET

// AWAY makes whole numbers of y·Y15, rounded half away from zero, and keeps their low bytes:
// Y14 sign mask, Y13 0.5, Y12 1, Y11 0xff.
#define AWAY(y) \
	VMULPS Y15, y, y; \
	VROUNDPS $3, y, Y4; \
	VSUBPS Y4, y, Y5; \
	VANDPS Y14, y, Y6; \
	VANDNPS Y5, Y14, Y5; \
	VCMPPS $0x1d, Y13, Y5, Y5; \
	VORPS Y12, Y6, Y6; \
	VANDPS Y5, Y6, Y6; \
	VADDPS Y6, Y4, Y4; \
	VCVTTPS2DQ Y4, y; \
	VPAND Y11, y, y

DATA bytesInOrder<>+0(SB)/8, $0x0000000400000000
DATA bytesInOrder<>+8(SB)/8, $0x0000000500000001
DATA bytesInOrder<>+16(SB)/8, $0x0000000600000002
DATA bytesInOrder<>+24(SB)/8, $0x0000000700000003
GLOBL bytesInOrder<>(SB), RODATA|NOPTR, $32

// func q8BlockAVX2(dst *[32]byte, src *[32]float32) float32
TEXT ·q8BlockAVX2(SB), NOSPLIT, $0-20
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	BROADCAST(0x80000000, X14, Y14)
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VANDNPS Y0, Y14, Y4
	VANDNPS Y1, Y14, Y5
	VANDNPS Y2, Y14, Y6
	VANDNPS Y3, Y14, Y7
	VMAXPS Y4, Y5, Y4
	VMAXPS Y6, Y7, Y6
	VMAXPS Y4, Y6, Y4
	VEXTRACTF128 $1, Y4, X5
	VMAXPS X4, X5, X4
	VPSHUFD $0x4e, X4, X5
	VMAXPS X4, X5, X4
	VPSHUFD $0xb1, X4, X5
	VMAXPS X4, X5, X4
	BROADCAST(0x42fe0000, X5, Y5) // 127
	VDIVSS X5, X4, X4
	VMOVSS X4, ret+16(FP)
	BROADCAST(0x3f800000, X12, Y12)
	VDIVSS X4, X12, X5
	VXORPS X6, X6, X6
	VCMPSS $0x04, X6, X4, X7 // d is not 0
	VANDPS X7, X5, X5
	VBROADCASTSS X5, Y15
	BROADCAST(0x3f000000, X13, Y13)
	BROADCAST(0x000000ff, X11, Y11)
	AWAY(Y0)
	AWAY(Y1)
	AWAY(Y2)
	AWAY(Y3)
	VPACKUSDW Y1, Y0, Y0
	VPACKUSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VMOVDQU bytesInOrder<>(SB), Y4
	VPERMD Y0, Y4, Y0
	VMOVDQU Y0, (DI)
	VZEROUPPER
	RET

// func decodeF16AVX2(dst *float32, src *byte, n int)
//
// n is a multiple of 8. Exponent and mantissa are moved to their places and multiplied by 2¹¹²,
// which also makes subnormal numbers normal; what is infinite or no number gets its exponent back.
TEXT ·decodeF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	BROADCAST(0x00007fff, X8, Y8)
	BROADCAST(0x77800000, X9, Y9) // 2¹¹²
	BROADCAST(0x0f7fe000, X10, Y10) // the largest finite magnitude
	BROADCAST(0x7f800000, X11, Y11)
eight:
	VPMOVZXWD (SI), Y0
	VPAND Y8, Y0, Y1
	VPXOR Y1, Y0, Y0
	VPSLLD $16, Y0, Y0
	VPSLLD $13, Y1, Y1
	VPCMPGTD Y10, Y1, Y2
	VPAND Y11, Y2, Y2
	VMULPS Y9, Y1, Y1
	VPOR Y2, Y0, Y0
	VPOR Y1, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $16, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ eight
	VZEROUPPER
	RET

// func decodeBF16AVX2(dst *float32, src *byte, n int)
//
// n is a multiple of 8.
TEXT ·decodeBF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
eight:
	VPMOVZXWD (SI), Y0
	VPSLLD $16, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $16, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ eight
	VZEROUPPER
	RET
