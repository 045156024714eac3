#include "textflag.h"

// One rank of four: t (Y4-Y7) op= b·a for 8 columns of two rows. SI is at a, 128 bytes a rank; R8
// and R9 are at the rows' b.
#define FIRST(offA, offB) \
	VBROADCASTSD offB(R8), Y8 \
	VBROADCASTSD offB(R9), Y9 \
	VMOVUPD offA(SI), Y10 \
	VMOVUPD (offA+32)(SI), Y11 \
	VMULPD Y8, Y10, Y4 \
	VMULPD Y8, Y11, Y5 \
	VMULPD Y9, Y10, Y6 \
	VMULPD Y9, Y11, Y7

#define NEXT(offA, offB) \
	VBROADCASTSD offB(R8), Y8 \
	VBROADCASTSD offB(R9), Y9 \
	VMOVUPD offA(SI), Y10 \
	VMOVUPD (offA+32)(SI), Y11 \
	VMULPD Y8, Y10, Y12 \
	VMULPD Y8, Y11, Y13 \
	VMULPD Y9, Y10, Y14 \
	VMULPD Y9, Y11, Y15 \
	VADDPD Y12, Y4, Y4 \
	VADDPD Y13, Y5, Y5 \
	VADDPD Y14, Y6, Y6 \
	VADDPD Y15, Y7, Y7

#define ADD \
	VADDPD Y4, Y0, Y0 \
	VADDPD Y5, Y1, Y1 \
	VADDPD Y6, Y2, Y2 \
	VADDPD Y7, Y3, Y3

// STORE is w = float32(w + scale·sum) for 4 columns.
#define STORE(off, base, sum) \
	VCVTPS2PD off(base), Y8 \
	VMULPD Y9, sum, sum \
	VADDPD sum, Y8, Y8 \
	VCVTPD2PSY Y8, X8 \
	VMOVUPS X8, off(base)

// HALF sums 8 columns of two rows, whose a begins at A, and adds them to w at OFF.
#define HALF(offA, off, four, one, left, done) \
	MOVQ packed+8(FP), SI \
	ADDQ $offA, SI \
	MOVQ R12, R8 \
	LEAQ (R12)(R11*1), R9 \
	VXORPD Y0, Y0, Y0 \
	VXORPD Y1, Y1, Y1 \
	VXORPD Y2, Y2, Y2 \
	VXORPD Y3, Y3, Y3 \
	MOVQ rank+40(FP), CX \
	SUBQ $4, CX \
	JLT left \
four: \
	FIRST(0, 0) \
	NEXT(128, 8) \
	NEXT(256, 16) \
	NEXT(384, 24) \
	ADD \
	ADDQ $512, SI \
	ADDQ $32, R8 \
	ADDQ $32, R9 \
	SUBQ $4, CX \
	JGE four \
left: \
	ADDQ $4, CX \
	JEQ done \
one: \
	FIRST(0, 0) \
	ADD \
	ADDQ $128, SI \
	ADDQ $8, R8 \
	ADDQ $8, R9 \
	DECQ CX \
	JNE one \
done: \
	VBROADCASTSD scale+48(FP), Y9 \
	STORE(off, DI, Y0) \
	STORE((off+16), DI, Y1) \
	STORE(off, DX, Y2) \
	STORE((off+16), DX, Y3)

// func mergePairsAVX2(w *float32, packed, b *float64, pairs, in, rank int, scale float64)
TEXT ·mergePairsAVX2(SB), NOSPLIT, $0-56
	MOVQ w+0(FP), DI
	MOVQ b+16(FP), R12
	MOVQ pairs+24(FP), BX
	MOVQ in+32(FP), R10
	SHLQ $2, R10 // bytes of a row of w
	MOVQ rank+40(FP), R11
	SHLQ $3, R11 // bytes of a row of b
pair:
	LEAQ (DI)(R10*1), DX
	HALF(0, 0, fourA, oneA, leftA, doneA)
	HALF(64, 32, fourB, oneB, leftB, doneB)
	LEAQ (DI)(R10*2), DI
	LEAQ (R12)(R11*2), R12
	DECQ BX
	JNE pair
	VZEROUPPER
	RET
